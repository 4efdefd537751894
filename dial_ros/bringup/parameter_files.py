"""Parameters of nodes from files: those of config/nodes/, and the user's own (`params_file:=`), which take precedence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dial_core.config import config_path
from dial_core.errors import DialError

WANTED = "for each node (its name, or /** for all) `ros__parameters` with names and values"


def parameters_of(name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in the file of the node `name`; instead of them those of `own` for this node, in any namespace, or for all."""
    parameters: dict[str, Any] = yaml.safe_load(config_path("nodes", name).read_text(encoding="utf-8"))["/**"]["ros__parameters"]
    for node, values in own.items():
        if node.rsplit("/", 1)[-1] in ("**", "*", name):
            parameters |= values["ros__parameters"]
    return parameters


def read_own_parameters(file: Path | None) -> dict[str, Any]:
    """The user's file: node -> {"ros__parameters": values}; empty without a file.

    Raises:
        DialError: it cannot be read, or is not in ROS's format.
    """
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DialError(f"argument params_file: {file} cannot be read: {error}") from error
    nodes = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(each, dict) and isinstance(each.get("ros__parameters"), dict) for each in nodes):
        raise DialError(f"argument params_file: {file} does not have {WANTED}")
    return content
