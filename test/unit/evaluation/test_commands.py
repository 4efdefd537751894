"""The evaluation commands from their words to the files they leave, on a stand-in table.

pytest test/unit/evaluation/test_commands.py
"""

import json
import shutil

import pytest
from typer.testing import CliRunner

from dial_core.checkpoint.contract import read_contract
from dial_core.cli import app
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop import rollout
from dial_core.evaluation.closed_loop.protocol import Protocol, sources_hash
from dial_core.evaluation.studies.foresight_quality import Errors
from dial_core.evaluation.studies.instruction_change import Change
from dial_core.evaluation.studies.smoothness import SmoothnessResult
from dial_core.jobs.results import JobResult


@pytest.fixture
def dial(stand_in, tmp_path, monkeypatch):
    """Runs a command in an empty folder and in this process; a DialError comes out as itself."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> None:
        result = CliRunner().invoke(app, [*words], catch_exceptions=False)
        assert result.exit_code == 0, result.output

    return run


SCENES = ("--task", "PlacematToPlate", "--episodes", "4", "--workers", "0", "--videos", "0")


def test_an_evaluation_writes_result_table_and_plot_into_a_folder_of_its_own(dial, tmp_path):
    dial("eval", "random", *SCENES)
    (folder,) = (tmp_path / "out/eval").iterdir()
    assert folder.name.startswith("random-in_distribution-")
    assert {path.name for path in folder.iterdir()} == {"ledger", "result.json", "result.md", "success.png"}


def test_two_policies_are_compared_on_the_same_scenes_in_one_command(dial, tmp_path, monkeypatch):
    honest = rollout.make_arena

    def harder(suite, task, camera, image_px):
        arena = honest(suite, task, camera, image_px)
        arena.done_at = range(30, 40)
        return arena

    dial("eval", "random", *SCENES, "--out", str(tmp_path / "a"))
    rollout._arenas.clear()
    monkeypatch.setattr(rollout, "make_arena", harder)
    dial("eval", "random", *SCENES, "--out", str(tmp_path / "b"))
    dial("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c"))
    comparison = json.loads((tmp_path / "c/comparison.json").read_text())
    assert (comparison["all"]["only_first"], comparison["all"]["only_second"]) == (4, 0)
    assert comparison["all"]["p_value"] == 0.125

    dial("eval", "random", *SCENES, "--out", str(tmp_path / "a"), "--against", "expert")
    assert (tmp_path / "a/against/result.json").is_file()
    assert "A: random. B: expert." in (tmp_path / "a/comparison/comparison.md").read_text()
    assert (tmp_path / "a/comparison/comparison.png").is_file()


def test_a_sweep_has_a_row_for_every_value(dial, tmp_path):
    dial("eval", "random", *SCENES, "--sweep", "execute_steps=1,2,4", "--out", str(tmp_path / "sweep"))
    assert list(json.loads((tmp_path / "sweep/result.json").read_text())) == [f"execute_steps {n}" for n in (1, 2, 4)]


def test_shards_are_merged_into_what_one_run_gives(dial, tmp_path):
    dial("eval", "random", *SCENES, "--out", str(tmp_path / "whole"))
    for number in (1, 2):
        dial("eval", "random", *SCENES, "--shard", f"{number}/2", "--out", str(tmp_path / f"{number}"))
    dial("merge", str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(tmp_path / "merged"))
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "merged")]
    assert results[0] | {"wall_s": 0} == results[1] | {"wall_s": 0}


def test_the_expert_is_measured_into_a_json_file(dial, tmp_path):
    dial("expert", "--task", "PlacematToPlate", "--episodes", "2", "--workers", "0", "--json", str(tmp_path / "x/expert.json"))
    assert json.loads((tmp_path / "x/expert.json").read_text())["success"]["trials"] == 2


@pytest.mark.parametrize("command", ["probe", "change", "viz", "foresight"])
@pytest.mark.parametrize("policy", ["expert", "random", "ws://127.0.0.1:9", "replay:data"])
def test_a_policy_without_a_foresight_is_not_studied_for_one(dial, tmp_path, command, policy):
    with pytest.raises(DialError, match=f"{policy} has no foresight; give a checkpoint"):
        dial(command, policy)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def sees_224_px(checkpoint, tmp_path):
    """A checkpoint that says it sees 224 x 224 px."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, folder)
    contract = json.loads((folder / "contract.json").read_text())
    (folder / "contract.json").write_text(json.dumps(contract | {"height": 224, "width": 224}))
    return folder


@pytest.mark.parametrize(("command", "place"), [("change", "instruction_change.study"), ("viz", "interpretation.watch")])
def test_a_study_renders_the_image_that_the_checkpoint_sees(dial, sees_224_px, monkeypatch, command, place):
    protocols = []

    def seen(*given):
        protocols.append(next(each for each in given if isinstance(each, Protocol)))
        raise InterruptedError

    monkeypatch.setattr(f"dial_core.evaluation.studies.{place}", seen)
    monkeypatch.setattr("dial_core.evaluation.closed_loop.dial_policy.open_sessions", lambda *_: (None, None))
    monkeypatch.setattr("dial_core.evaluation.closed_loop.dial_policy.DialPolicy", lambda *_: None)
    with pytest.raises(InterruptedError):
        dial(command, str(sees_224_px))
    assert [protocol.image_px for protocol in protocols] == [224]


@pytest.fixture
def measured(monkeypatch):
    """The studies are measured already: what is tested is what becomes of them."""
    change, errors = Change(100_000, 1.0, "new"), Errors("PlacematToPlate", 100_000, [0.5], [1.0], [2.0])
    monkeypatch.setattr("dial_core.evaluation.studies.instruction_change.study", lambda *_: [change])
    monkeypatch.setattr("dial_core.evaluation.closed_loop.dial_policy.open_sessions", lambda *_: (None, None))
    monkeypatch.setattr("dial_core.evaluation.closed_loop.dial_policy.DialPolicy", lambda *_: None)
    monkeypatch.setattr("dial_core.evaluation.studies.foresight_quality.measure", lambda *_: [errors])

    def smooth(function, jobs, workers):
        return (JobResult(job, SmoothnessResult(job.strategy, job.seed, True, 1.0, 0.0, 0.0, 1.0, 1, 0)) for job in jobs)

    monkeypatch.setattr("dial_core.jobs.workers.run_jobs", smooth)


@pytest.mark.parametrize(
    ("study", "file", "others"),
    [
        ("change", "changes.json", [("--after", "2"), ("--scenes", "3"), ("--task", "TrayToPot")]),
        ("foresight", "foresight.json", [("--driver", "own"), ("--several-objects",), ("--task", "PlacematToPlate")]),
        ("smoothness", "result.json", [("--strategies", "rtc"), ("--latency-s", "0.2"), ("--episodes", "3")]),
    ],
)
def test_studies_do_not_overwrite_each_other_and_say_what_was_measured(dial, checkpoint, measured, tmp_path, study, file, others):
    dial(study, str(checkpoint))
    for other in others:
        dial(study, str(checkpoint), *other)
    folders = list((tmp_path / "out" / study).iterdir())
    assert len(folders) == 1 + len(others)
    for folder in folders:
        said = json.loads((folder / file).read_text())
        assert said["protocol_hash"] in folder.name
        assert said["protocol"]["model_id"] == read_contract(checkpoint).model_id
        assert said["versions"]["mujoco"]
        assert said["sources"] == sources_hash()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--sweep", "execute_steps=1", "--against", "expert"), "--sweep does not go with --against"),
        (("--shard", "1/2", "--against", "expert"), "--shard goes neither"),
        (("--shard", "3/2"), "K/N"),
        (("--suite", "kitchen"), "no suite 'kitchen'; suites: in_distribution, .*robocasa_gr1"),
        (("--task", "MakeCoffee"), "has no task MakeCoffee; its tasks: "),
        (("--seed", "3"), "seed 3 is for training"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_choices(dial, words, error):
    with pytest.raises(DialError, match=error):
        dial("eval", "random", *SCENES, *words)
