"""The data commands from their words to what they print."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dial_core import cli
from dial_core.bags.synthetic import record
from dial_core.cli import app
from dial_core.cli.import_report import print_import
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.job_reports import ImportReport, JobReport

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


def test_square_brackets_in_foreign_texts_are_printed_as_they_are(capsys):
    report = ImportReport((JobReport("b", ["episode_0"]), JobReport("run[a]", reason="channel '[/INST] pick' cannot be read")))
    with pytest.raises(typer.Exit):
        print_import(report, Path("out[1]"), "bags")
    shown = " ".join(capsys.readouterr().err.split())
    assert "left out run[a]: channel '[/INST] pick' cannot be read" in shown
    assert "bags in out[1]" in shown


def test_an_error_with_brackets_is_printed_whole(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", lambda: (_ for _ in ()).throw(DialError("pip install -e .[data] [/]")))
    with pytest.raises(SystemExit):
        cli.main()
    assert "pip install -e .[data] [/]" in capsys.readouterr().err


def test_a_bag_that_cannot_be_repaired_keeps_no_other_from_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/a_0.mcap").write_bytes(b"")
    (record(tmp_path / "b", seconds=0.5) / "metadata.yaml").unlink()
    with pytest.raises(DialError, match="not repaired: 1 of the bags"):
        dial("repair", tmp_path)
    assert (tmp_path / "b/metadata.yaml").is_file()
    assert (tmp_path / "a/a_0.mcap").is_file()
