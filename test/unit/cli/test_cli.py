"""What `dial` says of itself.

pytest test/unit/cli/test_cli.py
"""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dial_core import cli
from dial_core.cli import app, eval_commands


@pytest.mark.parametrize("command", ["pretrain", "collect", "train", "eval", "expert", "probe", "merge", "viz", "foresight"])
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "--out" in result.output


def test_the_help_shows_the_path_from_nothing_to_a_measured_policy():
    output = CliRunner().invoke(app, ["--help"]).output
    assert output.index("dial pretrain") < output.index("dial collect") < output.index("dial train") < output.index("dial eval")
    numbered = [line.split()[:3] for line in output.splitlines() if line.split()[1:2] == ["dial"]]
    assert numbered[:4] == [[str(place), "dial", step] for place, step in enumerate(("pretrain:", "collect:", "train:", "eval:"), 1)]


def test_the_help_names_every_command_that_resumes():
    words = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    sentence = words.split("Interrupted, ")[1].split(" resume where")[0]
    assert set(sentence.replace(" and", ",").split(", ")) == set(cli.RESUMING)


@pytest.mark.parametrize("command", ["eval", "probe", "change", "foresight", "viz"])
def test_whatever_plays_a_checkpoint_finds_it_by_name(command):
    result = CliRunner().invoke(app, [command, "dial_large"])
    assert "no checkpoint 'dial_large': no such folder, and the package brings: dial_tiny" in str(result.exception)


def test_a_probe_of_a_suite_is_of_all_its_tasks_and_one_of_nothing_named_of_a_single_one():
    assert eval_commands._probed("unseen_object", []) == ("unseen_object", [])
    assert eval_commands._probed("", ["TrayToPot"]) == ("in_distribution", ["TrayToPot"])
    assert eval_commands._probed("", []) == ("in_distribution", ["PlacematToPlate"])


@pytest.mark.parametrize(("command", "notice"), [("collect", "resumes from here"), ("eval", "resumes from here"), ("viz", "starts over")])
def test_an_interrupted_command_says_whether_it_resumes(command, notice, monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    monkeypatch.setattr(cli.sys, "argv", ["dial", command, "--out", "x"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert notice in " ".join(capsys.readouterr().err.split())


def test_the_command_imports_no_renderer_before_it_has_chosen_one():
    """MuJoCo reads MUJOCO_GL when it is imported; main sets it first. Tasks are read where there is no MuJoCo."""
    code = "import sys, dial_core.cli; sys.exit('mujoco' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0
