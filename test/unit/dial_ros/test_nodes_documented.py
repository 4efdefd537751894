"""docs/nodes.md is true to the code: every parameter with default, unit and range. (The topics are checked on live nodes in test/ros.)

When a parameter changes, the failing test prints the row that the table should have.
"""

import re
from pathlib import Path

import pytest

from dial_ros.bringup.declared_parameters import DECLARED, OF_EVERY_NODE
from dial_ros.node.lifecycle import Parameter

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "nodes.md").read_text()
LIFECYCLE_NODES = [name for name in DECLARED if name != "operator"]  # the page has a table of its own


def section(node: str) -> str:
    return DOCUMENT.split(f"\n## {node}\n")[1].split("\n## ")[0]


def row(key: str, parameter: Parameter) -> str:
    unit = re.search(r" \[([^\]]+)\]$", parameter.description)
    words = parameter.description[: unit.start()] if unit else parameter.description
    default = str(parameter.default).lower() if isinstance(parameter.default, bool) else parameter.default
    limits = "" if parameter.lower is None else f"{parameter.lower} to {parameter.upper}"
    return f"| `{key}` | {'empty' if default == '' else default} | {unit.group(1) if unit else ''} | {limits} | {words} |"


def test_the_pages_parameters_stand_in_its_table():
    expected = [row(key, parameter) for key, parameter in DECLARED["operator"].items()]
    documented = [line for line in section("operator").split("| parameter |")[1].splitlines() if line.startswith("| `")]
    assert documented == expected, "\n".join(expected)


@pytest.mark.parametrize("node", LIFECYCLE_NODES)
def test_every_parameter_stands_in_the_table_as_it_is_declared(node):
    expected = [row(key, parameter) for key, parameter in {"autostart": OF_EVERY_NODE["autostart"], **DECLARED[node]}.items()]
    table = section(node).split("| parameter |")[1]
    documented = [line for line in table.splitlines() if line.startswith("| `")]
    assert documented == expected, "\n".join(expected)


@pytest.mark.parametrize("node", LIFECYCLE_NODES)
def test_every_number_has_a_unit(node):
    numbers = {key: p for key, p in DECLARED[node].items() if type(p.default) in (int, float)}
    without = [key for key, parameter in numbers.items() if not parameter.description.endswith("]")]
    assert without == []
