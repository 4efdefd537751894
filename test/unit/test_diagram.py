"""pytest test/unit/core/test_diagram.py; for a user: dial draw paper"""

import pytest
from typer.testing import CliRunner

from dial_core.cli import app


@pytest.mark.parametrize("preset", ["paper", "dial_tiny_dino", "dial_tiny_frozen", "dial_tiny_seer_ev", "qwen3_vl_2b"])
def test_presets_are_drawn_with_the_sizes_of_their_parts(preset, tmp_path):
    result = CliRunner().invoke(app, ["draw", preset, "--out", str(tmp_path / "deep/model.svg")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "deep/model.svg").stat().st_size > 20_000
