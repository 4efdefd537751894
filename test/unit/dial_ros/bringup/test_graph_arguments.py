"""The arguments of graphs: each one changes what is started, and docs/launch.md has it.

pytest test/unit/dial_ros/bringup/test_graph_arguments.py
"""

import re
from pathlib import Path

import pytest

from dial_ros.bringup.graph import ARGUMENTS, graph

DOCUMENT = (Path(__file__).resolve().parents[4] / "docs/launch.md").read_text()
ANOTHER = {
    "robot": "unitree_g1",
    "cameras": "ego=/head/image",
    "device": "cuda",
    "runtime": "eager",
    "controllers": "waist_controller=/torso/jtc",
    "hand": "left",
    "task": "CanToDrawerClose",
    "page_host": "0.0.0.0",
    "page_token": "long-enough",
    "directory": "elsewhere",
}
BY_THE_STARTER = {"namespace"}
NOT_CHANGED_HERE = {"camera"}  # the robot has one
ALL = [(kind, argument) for kind, arguments in ARGUMENTS.items() for argument in arguments]
CHANGED = [(kind, argument) for kind, argument in ALL if argument.name not in BY_THE_STARTER | NOT_CHANGED_HERE]


@pytest.mark.parametrize(("kind", "argument"), CHANGED, ids=[f"{kind} {argument.name}" for kind, argument in CHANGED])
def test_every_argument_changes_what_is_started(kind, argument, tmp_path):
    (tmp_path / "config.json").touch()
    (tmp_path / "mine.yaml").write_text("{system1: {ros__parameters: {max_jump: 0.1}}, recorder: {ros__parameters: {split_mb: 9}}}")
    ours = {"page": True, "record": True}
    ours = {name: on for name, on in ours.items() if name in {other.name for other in ARGUMENTS[kind]}}
    default = ours.get(argument.name, argument.default)
    if isinstance(default, bool):
        other = not default
    elif isinstance(default, str):
        other = ANOTHER.get(argument.name, str(tmp_path / "mine.yaml" if argument.name == "params_file" else tmp_path))
    else:
        other = default + 1
    assert graph(kind, **ours | {argument.name: other}) != graph(kind, **ours)


@pytest.mark.parametrize("name", sorted({argument.name for _, argument in ALL}))
def test_the_guide_has_every_argument(name):
    rows = "\n".join(re.findall(r"^\| (`.*?) \|", DOCUMENT, re.MULTILINE))
    assert f"`{name}`" in rows
