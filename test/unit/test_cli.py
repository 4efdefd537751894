import pytest
from typer.testing import CliRunner

from dial_core.cli import app


@pytest.mark.parametrize("command", ["pretrain", "collect", "train", "eval", "expert", "probe"])
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "--out" in result.output


def test_the_help_shows_the_path_from_nothing_to_a_measured_policy():
    output = CliRunner().invoke(app, ["--help"]).output
    assert output.index("dial pretrain") < output.index("dial collect") < output.index("dial train") < output.index("dial eval")
