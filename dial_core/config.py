"""Typed configuration: one YAML file a thing, found by name, validated by a pydantic schema."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from dial_core.errors import DialError


class Config(BaseModel):
    """Base of every configuration: unknown keys are errors and values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=Config)


def by_default(config: C) -> C:
    """What `config` would be if nothing optional in it, or in a required part of it, had been set."""
    required = {name: getattr(config, name) for name, field in type(config).model_fields.items() if field.is_required()}
    parts: dict[str, Any] = {name: by_default(value) if isinstance(value, Config) else value for name, value in required.items()}
    return type(config).model_construct(**parts)


def by_field(config: Config) -> dict[str, Any]:
    """Values of a config's fields as JSON values, those of a part by `part.field`; a field that is a mapping is one value."""
    dumped = config.model_dump(mode="json")
    found: dict[str, Any] = {}
    for name in type(config).model_fields:
        part = getattr(config, name)
        found |= {f"{name}.{field}": value for field, value in by_field(part).items()} if isinstance(part, Config) else {name: dumped[name]}
    return found


def config_root() -> Path:
    """The folder that holds `models/ embodiments/ training/ nodes/ ...`.

    `config/` of `share_root()`, unless `DIAL_CONFIG_ROOT` names another folder.
    """
    if chosen := os.environ.get("DIAL_CONFIG_ROOT"):
        return Path(chosen)
    return share_root() / "config"


def share_root() -> Path:
    """The folder with what comes with the package beside its code: `config/`, `checkpoints/`, `launch/`.

    In a source tree the one that holds `dial_core/`; in an installed package `share/dial_ros` of the prefix.

    Raises:
        DialError: neither is there.
    """
    source_tree = Path(__file__).resolve().parent.parent
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    for root in (source_tree, *(prefix / "share/dial_ros" for prefix in prefixes)):
        if (root / "config").is_dir():
            return root
    raise DialError(
        f"no configuration folder: looked for {source_tree / 'config'} and share/dial_ros/config under AMENT_PREFIX_PATH; "
        "source the workspace's setup file, or set DIAL_CONFIG_ROOT"
    )


def config_path(kind: str, name: str | Path) -> Path:
    """Where the configuration `name` of a kind lives: `gr1` -> `config/embodiments/gr1.yaml`; a path stays itself.

    Raises:
        DialError: there is no such file; the message lists the names there are.
    """
    path = Path(name).expanduser()  # no shell does so after `robot:=`
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise DialError(f"configuration file {path} does not exist")
        return path
    folder = config_root() / kind
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise DialError(f"no {kind} configuration '{name}' ({path} does not exist); available: {known}")
    return path


def load_config(schema: type[C], kind: str, name: str | Path, changes: Sequence[str] = ()) -> C:
    """The validated configuration `name` of a kind; `extends: <name>` in it takes the values of another one first.

    Args:
        changes: `KEY=VALUE` each, laid over the file: `stages.0.optimisation.steps=100`; values are YAML, numbers count a list's elements.

    Raises:
        DialError: missing file, broken YAML, unknown key or wrong type; the message names the file and each key.
    """
    path = config_path(kind, name)
    values = _unshared(_read_extended(path, kind, ()))
    for change in changes:
        _change(values, change)
    return validate(schema, values, source=path)


def _unshared(values: Any) -> Any:
    """A copy in which what a YAML alias repeats is there twice, so that one can change alone."""
    if isinstance(values, dict):
        return {key: _unshared(value) for key, value in values.items()}
    return [_unshared(value) for value in values] if isinstance(values, list) else values


def _change(values: dict, change: str) -> None:
    """Sets one value below a mapping.

    Raises:
        DialError: it is not KEY=VALUE, or the key leads nowhere.
    """
    key, equals, text = change.partition("=")
    *way, last = key.strip().split(".")
    place: Any = values
    try:
        if not equals:
            raise KeyError(change)
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        if isinstance(place, list):
            place[int(last)] = yaml.safe_load(text)
        else:
            place[last] = yaml.safe_load(text)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise DialError(f"'{change}' changes nothing: expected KEY=VALUE such as stages.0.optimisation.steps=100 ({error})") from error


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        DialError: it cannot be read, is not UTF-8, or is broken (also an impossible date).
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DialError(f"{path} cannot be read: {error}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise DialError(f"{path} cannot be read, it is not valid YAML: {error}") from error


def read_values(path: Path) -> dict:
    """The mapping in a YAML file, not yet validated.

    Raises:
        DialError: broken YAML, or something else than a mapping.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise DialError(f"{path} must hold a mapping of keys to values, found {type(values).__name__}")
    return values


def _read_extended(path: Path, kind: str, below: tuple[Path, ...]) -> dict:
    """The values of a file laid over those of the one that it extends, mapping by mapping; lists are replaced."""
    if path in below:
        raise DialError(f"configurations extend each other in a circle: {' -> '.join(p.stem for p in (*below, path))}")
    values = read_values(path)
    base = values.pop("extends", None)
    if base is None:
        return values
    if "/" in base:  # of another kind
        kind, base = base.split("/", 1)
        return _laid_over(_read_extended(config_path(kind, base), kind, (*below, path)), values)
    beside = path.with_name(f"{base}.yaml")
    return _laid_over(_read_extended(beside if beside.is_file() else config_path(kind, base), kind, (*below, path)), values)


def _laid_over(base: dict, values: dict) -> dict:
    both = {
        key: _laid_over(base[key], value) for key, value in values.items() if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return base | values | both


def validate(schema: type[C], values: dict, source: str | Path) -> C:
    """`values` as a `schema`, or a DialError that names `source` and every offending key."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise DialError(f"{source}: " + "; ".join(_describe(problem, schema) for problem in error.errors())) from error


def _describe(problem, schema: type[Config]) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
    if problem["type"] == "extra_forbidden":
        known = f"; known keys: {', '.join(schema.model_fields)}" if len(problem["loc"]) == 1 else ""
        return f"unknown key '{key}'{known}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    got = "" if isinstance(problem["input"], dict) else f" (got {problem['input']!r})"
    return f"key '{key}': {problem['msg']}{got}"
