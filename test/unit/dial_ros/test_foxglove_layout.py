"""The Foxglove layout names topics and fields that exist, and every panel that it places.

pytest test/unit/dial_ros/test_foxglove_layout.py
"""

import json
import re
from pathlib import Path

import pytest

from dial_core.config import config_root
from dial_ros.node.interface_text import message_class

LAYOUT = json.loads((config_root() / "foxglove" / "dial.json").read_text())
NODES = (Path(__file__).resolve().parents[3] / "docs" / "nodes.md").read_text()
PATH = re.compile(r"(/[\w/]+)\.([\w.]+)(\[\d+\])?")


def strings(part) -> list[str]:
    """Every topic or message path of a panel's configuration."""
    if isinstance(part, dict):
        return [text for value in part.values() for text in strings(value)]
    if isinstance(part, list):
        return [text for value in part for text in strings(value)]
    return [part] if isinstance(part, str) and part.startswith("/") else []


def types() -> dict[str, str]:
    """Topic -> type, as docs/nodes.md says; `~` is the section's node."""
    found = {"/diagnostics": "diagnostic_msgs/msg/DiagnosticArray", "/image/ego": "sensor_msgs/msg/Image"}
    for section in NODES.split("\n## ")[1:]:
        node = section.splitlines()[0]
        for topic, kind in re.findall(r"^\| `([\w/~]+)` \| out \| ([\w/]+) \|", section, re.MULTILINE):
            name = topic.replace("~", f"/{node}") if "~" in topic else f"/{topic.lstrip('/')}"
            found[name] = kind.replace("/", "/msg/")
    return found


def placed(part) -> list[str]:
    return [part] if isinstance(part, str) else placed(part["first"]) + placed(part["second"])


def test_every_panel_is_placed_once():
    assert sorted(placed(LAYOUT["layout"])) == sorted(LAYOUT["configById"])


@pytest.mark.parametrize("path", sorted({text for panel in LAYOUT["configById"].values() for text in strings(panel)}))
def test_topics_and_fields_exist(path):
    topic, fields, _ = PATH.fullmatch(path).groups() if "." in path else (path, "", None)
    kind = message_class(types()[topic])
    for name in filter(None, fields.split(".")):
        assert name in kind.get_fields_and_field_types(), f"{topic} has no field {name}"
