"""The wire contract explains itself: every field of msg/ and srv/ has a comment, and every number its unit."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INTERFACES = sorted([*ROOT.glob("msg/*.msg"), *ROOT.glob("srv/*.srv")])
NUMBER = re.compile(r"^(float|u?int)(16|32|64)")


def fields(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "---"))]


@pytest.mark.parametrize("path", INTERFACES, ids=lambda p: p.name)
def test_every_field_is_explained(path):
    assert path.read_text().startswith("# "), "what the message is for comes first"
    bare = [line for line in fields(path) if "#" not in line]
    assert bare == []


@pytest.mark.parametrize("path", INTERFACES, ids=lambda p: p.name)
def test_every_number_has_a_unit(path):
    without = [line for line in fields(path) if NUMBER.match(line) and not re.search(r"# \[\S+\]", line)]
    assert without == []


def test_cmake_generates_every_interface():
    listed = set(re.findall(r"(?:msg|srv)/\w+\.(?:msg|srv)", (ROOT / "CMakeLists.txt").read_text()))
    assert listed == {str(path.relative_to(ROOT)) for path in INTERFACES}
