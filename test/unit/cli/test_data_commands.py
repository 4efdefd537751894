"""The data commands from their words to what they print."""

import pytest
from typer.testing import CliRunner

from dial_core.cli import app
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError

from ..importers.source_files import write_gr00t_set


def dial(*words) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return f"exit {result.exit_code}\n{result.output}"


def test_from_a_robocasa_set_to_parts_of_it(tmp_path):
    write_gr00t_set(tmp_path / "robocasa", lengths=(4, 3, 5))
    assert "3 episodes in" in dial(
        "convert", "lerobot", "--mapping", "robocasa_gr1", "--workers", 0, tmp_path / "robocasa", tmp_path / "out"
    )
    shown = dial("data", "info", tmp_path / "out")
    assert "3, 12 frames" in shown
    assert "pick the cup (3)" in shown
    assert "exit 0" in dial("data", "check", tmp_path / "out", "--embodiment", "gr1")
    assert "exit 1" in dial("data", "check", tmp_path / "out", "--embodiment", "human")
    dial("data", "split", tmp_path / "out", tmp_path / "parts", "train=2", "rest=1", "--without", "1")
    dial("data", "merge", tmp_path / "parts/train", tmp_path / "parts/rest", tmp_path / "again")
    assert sorted(span.length for span in LeRobotDataset(tmp_path / "again").episodes) == [4, 5]
    assert "r_shoulder_pitch" in dial("data", "stats", tmp_path / "again", "--write")


def test_data_is_held_against_the_statistics_of_the_shipped_checkpoint(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset")
    assert "lie far from the checkpoint's statistics" in dial(
        "data", "stats", dataset.folder, "--against", "checkpoints/dial_tiny"
    ).replace("\n", " ")


def test_one_path_is_not_enough(tmp_path):
    with pytest.raises(DialError, match=r"SRC\.\.\. DST"):
        dial("data", "merge", tmp_path)


@pytest.mark.parametrize(("text", "words"), [('{"source": "a', "is not valid JSON"), ("[1, 2]", "must hold keys and values")])
def test_a_broken_note_of_the_conversion_costs_its_row_only(fake_dataset, tmp_path, text, words):
    dataset = fake_dataset(tmp_path / "dataset")
    (dataset.folder / "meta/conversion.json").write_text(text)
    shown = dial("data", "info", dataset.folder)
    assert "exit 0" in shown
    assert words in " ".join(shown.replace("│", " ").split())
