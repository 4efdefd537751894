"""Parameters of nodes from files: those of config/nodes/, and the user's own (`params_file:=`), which take precedence.

The user's file is in ROS's format. Each of its values must reach a node: rcl ignores in silence what matches none, and a robot would then
move without the limits that were asked for. So nodes and parameters are checked here, and the values are handed to each node by name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from dial_core.config import config_path
from dial_core.errors import DialError
from dial_ros.bringup.declared_parameters import DECLARED, declared
from dial_ros.node.lifecycle import Parameter, ParameterValue

WANTED = "for each node (its name, or /** for all) `ros__parameters` with names and values"
RAISED = frozenset({"splice_lead"})  # the graph takes the user's value into account: with a guard it is at least what the guard needs


@dataclass(frozen=True)
class OwnParameters:
    """The user's file: its parts in order, each with the nodes it is for (as written), which of ours these are, and the values."""

    file: Path | None = None
    parts: tuple[tuple[str, frozenset[str], Mapping[str, Any]], ...] = ()

    def of(self, node: str) -> dict[str, ParameterValue]:
        """The values for a node, by the type of its parameters; of two for one parameter the later, as in rcl."""
        parameters = declared(node)
        values = {name: value for _, nodes, part in self.parts if node in nodes for name, value in part.items() if name in parameters}
        return {name: self._typed(node, name, value, parameters[name]) for name, value in values.items()}

    def require_effect(self, started: Mapping[str, Mapping[str, ParameterValue]]) -> None:
        """Raises DialError if the graph's arguments decide on a value otherwise, at every node that it is for.

        Arguments:
            started: the nodes of the graph, each with what the arguments decide.
        """
        for key, nodes, part in self.parts:
            for name in set(part) - RAISED:
                takers = [node for node in started if node in nodes and name in declared(node)]
                decided = [started[node][name] for node in takers if name in started[node]]
                if decided and len(decided) == len(takers) and part[name] not in decided:
                    raise self._error(
                        f"{name} of {key} has no effect: the graph's arguments (--show-args, --help) set it to {decided[0]!r}"
                    )

    def require_known(self) -> None:
        """Raises DialError if a parameter is none of any node that it is for."""
        for key, nodes, part in self.parts:
            known = sorted({name for node in nodes for name in declared(node)})
            for name in part:
                if name not in known:
                    raise self._error(f"{key} has no parameter '{name}'{_nearest(name, known)} Parameters: {', '.join(known)}")

    def _typed(self, node: str, name: str, value: Any, parameter: Parameter) -> ParameterValue:
        wanted = type(parameter.default)
        if wanted is float and isinstance(value, int | str) and not isinstance(value, bool):  # 1e-2 is text to YAML, a number to rcl
            try:
                return float(value)
            except ValueError:
                pass
        if type(value) is not wanted:
            raise self._error(f"{name} of {node} is {value!r}; it takes a {wanted.__name__}: {parameter.description}")
        return value

    def _error(self, why: str) -> DialError:
        return DialError(f"argument params_file: {self.file}: {why}")


def parameters_of(name: str, own: OwnParameters) -> dict[str, Any]:
    """The parameters in the file of the node `name`; instead of them those of `own`."""
    return yaml.safe_load(config_path("nodes", name).read_text(encoding="utf-8"))["/**"]["ros__parameters"] | own.of(name)


def read_own_parameters(file: Path | None, namespace: str = "") -> OwnParameters:
    """Reads the user's file for the nodes in `namespace`; empty without a file.

    A name without a slash is a node's in any namespace. Others match as in rcl: full names, `/*` for one part, `/**` for any number.

    Raises:
        DialError: it cannot be read, is not in ROS's format, or names a node or a parameter that does not exist.
    """
    if file is None:
        return OwnParameters()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DialError(f"argument params_file: {file} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) and _has_values(part) for key, part in content.items()):
        raise DialError(f"argument params_file: {file} does not have {WANTED}")
    full_names = {f"/{namespace.strip('/')}/{node}".replace("//", "/"): node for node in DECLARED}
    parts = []
    for key, part in content.items():
        nodes = frozenset([key] if key in DECLARED else [node for name, node in full_names.items() if _matches(key, name)])
        if not nodes:
            nearest = _nearest(key, [*DECLARED, *full_names])
            every = f"{', '.join(full_names)}; without a slash: in any namespace"
            raise DialError(f"argument params_file: {file}: '{key}' is no node{nearest} Nodes: {every}")
        parts.append((key, nodes, part["ros__parameters"]))
    own = OwnParameters(file, tuple(parts))
    own.require_known()
    return own


def _has_values(part: Any) -> bool:
    return (
        isinstance(part, dict) and isinstance(values := part.get("ros__parameters"), dict) and all(isinstance(name, str) for name in values)
    )


def _matches(key: str, full_name: str) -> bool:
    """Whether rcl gives the node `full_name` the parameters under `key`."""
    pattern = re.escape(f"/{key.removeprefix('/')}").replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"(/\w+)")
    return re.fullmatch(pattern, full_name) is not None


def _nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?`, or a full stop if nothing is near."""
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else "."
