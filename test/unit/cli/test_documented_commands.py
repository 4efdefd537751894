"""Every command that the documents and the comments of configurations show exists, with every option that they give it.

pytest test/unit/cli/test_documented_commands.py
"""

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from dial_core.cli import app
from dial_core.cli.operator_commands import PROGRAMS
from dial_ros.bringup.graph import ARGUMENTS

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "checkpoints").rglob("*.md"))]
CONFIGURATIONS = sorted((ROOT / "config").rglob("*.yaml"))
RUNNER = "dial_ros.bringup.runner"
BEFORE = r"(?:^[\s#]*|`|&& |; )(?:OMP_NUM_THREADS=1 )?(?:taskset -c \d )?(?:\.venv/bin/)?"  # where code begins, in a block or inline


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The words after `program`, wherever a code block or inline code shows it."""
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"(?<!`)`[^`]{1,300}`(?!`)", lambda inline: " ".join(inline.group().split()), text)
    for found in re.finditer(rf"{BEFORE}{program} ([^`#\n|;&)]*)", text, re.MULTILINE):
        if words := [word.rstrip(",.:") for word in found.group(1).split()]:
            yield words


@cache
def root_command() -> Any:
    return typer.main.get_command(app)


def options(words: list[str]) -> set[str]:
    return {match.group(1) for word in words if (match := re.match(r"--([a-z][\w-]*)", word))}


@pytest.mark.parametrize("document", [*DOCUMENTS, *CONFIGURATIONS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_dial_command_exists_with_its_options(document):
    for words in commands(document.read_text(), "dial"):
        if words[0] in PROGRAMS or not re.fullmatch(r"[a-z][a-z-]*", words[0]):
            continue
        command, rest = root_command(), words
        while hasattr(command, "commands") and rest and "|" not in rest[0]:
            assert rest[0] in command.commands, f"dial {' '.join(words)}"
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option.lstrip("-") for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert options(rest) <= {*known, "help"}, f"dial {' '.join(words)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_graph_takes_its_arguments(document):
    text = document.read_text()
    started = [(words[0], words[1:]) for words in commands(text, f"python -m {RUNNER}")]
    started += [(PROGRAMS[words[0]][1][0], words[1:]) for words in commands(text, "dial") if PROGRAMS.get(words[0], ("",))[0] == RUNNER]
    given = [(kind, options(words)) for kind, words in started]
    for words in commands(text, "ros2 launch dial_ros"):
        assert (ROOT / "launch" / words[0]).is_file(), words
        kind = words[0].removesuffix(".launch.py")
        given.append((kind, {match.group(1) for word in words if (match := re.match(r"(\w+):=", word))}))
    for kind, names in given:
        known = {argument.name for argument in ARGUMENTS.get(kind, ())} | {"help"}
        assert {name.replace("-", "_") for name in names} <= known, f"{kind}: {names}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_and_every_target_of_make_is_there(document):
    text = document.read_text()
    modules = {words[0] for words in commands(text, "python -m")}
    assert not [name for name in modules if name.startswith("dial_") and not importlib.util.find_spec(name)]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[0] for words in commands(text, "make")} <= targets


def test_commands_are_found_in_blocks_inline_and_over_lines():
    text = """x `dial eval A
--seed 0`
```
dial train --out b  # why
. && dial viz c
taskset -c 0 dial bench \\
  world
```
the dial command"""
    assert list(commands(text, "dial")) == [["eval", "A", "--seed", "0"], ["train", "--out", "b"], ["viz", "c"], ["bench", "world"]]
