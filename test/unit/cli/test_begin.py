"""`dial begin`: what it takes for a source."""

import json

from typer.testing import CliRunner

from dial_core.cli import app


def test_a_shipped_checkpoint_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "robot.yaml").write_text("extends: dial_tiny\nstate_dim: 49\naction_dim: 49\nembodiments: [unitree_g1]\n")
    words = ["begin", "dial_tiny", "--model", "robot.yaml", "--embodiment", "unitree_g1", "--out", "start"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "4 tensors are random" in " ".join(result.output.split())
    assert json.loads((tmp_path / "start/contract.json").read_text())["embodiment"] == "unitree_g1"
