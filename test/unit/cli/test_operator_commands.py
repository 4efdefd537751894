import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from dial_core.cli import app, operator_commands


@pytest.mark.parametrize("name", operator_commands.PROGRAMS)
def test_a_command_becomes_its_program_with_all_that_was_typed(name, monkeypatch):
    became = []
    monkeypatch.setattr(operator_commands, "become", lambda *words, called: became.append((words, called)))
    assert CliRunner().invoke(app, [name, "put the can", "--seed", "7", "--help"]).exit_code == 0
    module, first, _ = operator_commands.PROGRAMS[name]
    assert became == [((module, *first, "put the can", "--seed", "7", "--help"), f"dial {name}")]


def test_a_program_shows_its_help_under_the_command_that_was_typed():
    line = [sys.executable, "-m", "dial_core.cli", "instruct", "--help"]
    shown = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("usage: dial instruct")


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"dial {version('dial_ros')}"
