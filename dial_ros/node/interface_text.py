"""Message definitions as a bag stores them (the .msg file and those of all types it uses), and their RIHS01 hashes."""

import json
import os
import re
import sys
from pathlib import Path

from dial_core.errors import DialError

_FIELD = re.compile(r"^\s*([A-Za-z]\w*(?:/[A-Za-z]\w*)?)(?:<=\d+)?(?:\[[<=\d]*\])?\s+[A-Za-z]\w*")
_PRIMITIVES = frozenset(
    ["bool", "byte", "char", "string", "wstring", "float32", "float64", "float", "double"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


def definition_of(kind: str) -> str:
    """Returns the definition of `kind` (`sensor_msgs/msg/Image`) as rosbag2 writes it into MCAP (`ros2msg`).

    Raises:
        DialError: its package is not installed, or has no such message.
    """
    texts: dict[str, str] = {}
    waiting = [kind]
    while waiting:
        name = waiting.pop(0)
        if name not in texts:
            texts[name] = _file(name, "msg").read_text()
            waiting += _used(texts[name], name.split("/")[0])
    parts = [texts.pop(kind)] + [f"MSG: {name.replace('/msg/', '/')}\n{text}" for name, text in texts.items()]
    return ("=" * 80 + "\n").join(part if part.endswith("\n") else part + "\n" for part in parts)


def type_hash_of(kind: str) -> str:
    """Returns the RIHS01 hash of a type, which distinguishes versions of it; empty if its package has none."""
    try:
        described = json.loads(_file(kind, "json").read_text())
    except (DialError, OSError):
        return ""
    return next((entry["hash_string"] for entry in described["type_hashes"] if entry["type_name"] == kind), "")


def message_class(kind: str):
    """Returns the Python class of `kind`. Raises DialError if its package is not installed."""
    from importlib import import_module

    package, _, name = kind.split("/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise DialError(f"message type {kind} is not installed here: {error}; source the workspace that has it") from error


def _used(text: str, package: str) -> list[str]:
    """Types that the fields of a .msg text name."""
    used = []
    for line in text.splitlines():
        field = _FIELD.match(line.split("#")[0])
        if field and field[1] not in _PRIMITIVES:
            owner, _, name = field[1].rpartition("/")
            used.append(f"{owner or package}/msg/{name}")
    return used


def _file(kind: str, suffix: str) -> Path:
    package, _, name = kind.split("/")
    # The venv of `make setup` is a ROS prefix without being named in AMENT_PREFIX_PATH.
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    for prefix in prefixes:
        path = Path(prefix) / "share" / package / "msg" / f"{name}.{suffix}"
        if path.is_file():
            return path
    raise DialError(f"no {name}.{suffix} of package {package} in {', '.join(prefixes)}; install the package or source its workspace")
