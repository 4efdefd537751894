"""Serial, parallel, interrupted and sharded evaluations are one and the same.

pytest test/unit/evaluation/test_ledger.py
"""

import json
import shutil
from pathlib import Path

import pytest

from dial_core.config import config_root
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop import ledger, rollout
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.evaluate import evaluate, merge, prepare
from dial_core.evaluation.closed_loop.ledger import EPISODES, FOLDER, Ledger, Shard, all_cases, read_part
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.reports.result_page import markdown
from dial_core.files.fingerprint import FINGERPRINT

RANDOM = PolicySource("random")


def comparable(summary: dict) -> dict:
    """All of a summary but the time it took."""
    return {key: value for key, value in summary.items() if key != "wall_s"}


@pytest.fixture
def short_episodes(tmp_path, monkeypatch, fresh_worker):
    """The real world with 6 control steps an episode, also in worker processes."""
    root = tmp_path / "config"
    shutil.copytree(config_root(), root)
    task = root / "tasks/PlacematToPlate.yaml"
    task.write_text(task.read_text().replace("max_steps: 200", "max_steps: 6"))
    monkeypatch.setenv("DIAL_CONFIG_ROOT", str(root))


@pytest.mark.slow
def test_serial_parallel_and_resumed_runs_are_equal_to_the_last_bit(short_episodes, checkpoint, tmp_path):
    source = PolicySource("checkpoint", str(checkpoint))
    protocol = prepare(Protocol(episodes=3), source)
    serial = evaluate(protocol, source, tmp_path / "serial", workers=0)
    assert len({episode["ended"] for episode in serial["episodes"]}) == 3
    assert {episode["steps"] for episode in serial["episodes"]} == {6}

    assert comparable(evaluate(protocol, source, tmp_path / "parallel", workers=2)) == comparable(serial)

    interrupted = tmp_path / "resumed" / FOLDER
    shutil.copytree(tmp_path / "serial" / FOLDER, interrupted)
    lines = (interrupted / EPISODES).read_text().splitlines(keepends=True)
    (interrupted / EPISODES).write_text(lines[0] + lines[1][:40])  # killed while it wrote the second one
    rollout._arenas.clear()
    assert comparable(evaluate(protocol, source, tmp_path / "resumed", workers=0)) == comparable(serial)


def test_joined_shards_equal_the_whole(stand_in, protocol, tmp_path):
    whole = evaluate(protocol, RANDOM, tmp_path / "whole", workers=0)
    shards = [tmp_path / f"shard{number}" for number in (1, 2, 3, 4)]
    for number, folder in enumerate(shards, 1):
        part = evaluate(protocol, RANDOM, folder, workers=0, shard=Shard(number, 4))
        assert part["success"]["trials"] < 3
        assert part["shard"] == f"{number}/4"
        assert f"Shard {number}/4: a part of the scenes, {part['success']['trials']} of 6." in markdown(part, "a shard")
    assert whole["shard"] == "1/1"
    assert "Shard" not in markdown(whole, "all")
    assert comparable(merge(shards[::-1])) == comparable(whole)


def test_a_finished_evaluation_is_not_run_again(stand_in, protocol, tmp_path, monkeypatch):
    first = evaluate(protocol, RANDOM, tmp_path, workers=0)
    monkeypatch.setattr(stand_in, "reset", lambda self, seed, other=False: pytest.fail("it ran again"))
    assert comparable(evaluate(protocol, RANDOM, tmp_path, workers=0)) == comparable(first)


def test_a_second_evaluation_in_the_same_folder_is_refused_while_the_first_runs(stand_in, protocol, tmp_path, monkeypatch):
    honest, refused = stand_in.reset, []

    def as_a_second_one_begins(self, seed: int, other: bool = False) -> None:
        with pytest.raises(DialError, match=rf"another `dial eval` .* works in {tmp_path / FOLDER}; wait") as error:
            evaluate(protocol, RANDOM, tmp_path, workers=0)
        refused.append(error)
        honest(self, seed, other)

    monkeypatch.setattr(stand_in, "reset", as_a_second_one_begins)
    assert evaluate(protocol, RANDOM, tmp_path, workers=0)["success"]["trials"] == len(refused) == 6
    assert len((tmp_path / FOLDER / EPISODES).read_text().splitlines()) == 6


def test_shards_are_read_without_a_write_while_one_still_runs(stand_in, protocol, tmp_path):
    interrupted(protocol, tmp_path)
    episodes = tmp_path / FOLDER / EPISODES
    whole = episodes.read_text()
    episodes.write_text(whole + whole[:40])  # the line that its process is writing at this moment
    assert len(read_part(tmp_path).results) == 1
    assert episodes.read_text() == whole + whole[:40]


def test_an_evaluation_does_not_resume_with_another_protocol(stand_in, protocol, tmp_path):
    evaluate(protocol, RANDOM, tmp_path, workers=0)
    with pytest.raises(DialError, match=r"protocol.execute_steps was 3, is now 4"):
        evaluate(protocol.model_copy(update={"execute_steps": 4}), RANDOM, tmp_path, workers=0)


def test_an_evaluation_that_called_a_policy_without_a_model_spliced_is_not_resumed(stand_in, protocol, tmp_path):
    interrupted(protocol, tmp_path)  # as an earlier version began it
    with pytest.raises(DialError, match=r"was started with other settings: protocol\.execution was robot, is now direct\. Choose another"):
        evaluate(protocol.model_copy(update=RANDOM.facts(protocol)), RANDOM, tmp_path, workers=0)


@pytest.fixture
def own_task(tmp_path):
    """(source): writes a task file of the user's own; returns a protocol of it."""
    file = tmp_path / "Mine.yaml"

    def write(source: str) -> Protocol:
        file.write_text(f"name: Mine\nextends: settings/rearrangement\nsource: {source}\ntarget: pot\nobjects: [mug]\n")
        return Protocol(policy="random", tasks=(str(file),), episodes=2)

    return write


def test_an_evaluation_of_a_users_own_task_does_not_resume_after_its_file_was_edited(own_task, tmp_path):
    Ledger(tmp_path / "out", own_task("tray"), Shard())
    Ledger(tmp_path / "out", own_task("tray # a comment"), Shard())
    with pytest.raises(DialError, match=r"task_files\..*Mine\.yaml was [0-9a-f]{12}, is now [0-9a-f]{12}"):
        Ledger(tmp_path / "out", own_task("placemat"), Shard())


def test_an_evaluation_is_not_resumed_on_another_device(protocol, tmp_path):
    on_gpu = protocol.model_copy(update={"device": "cuda", "precision": "bfloat16"})
    Ledger(tmp_path / "out", on_gpu, Shard())
    with pytest.raises(DialError, match=r"protocol\.device was cuda, is now cpu"):
        Ledger(tmp_path / "out", protocol.model_copy(update={"device": "cpu", "precision": "bfloat16"}), Shard())
    Ledger(tmp_path / "out", on_gpu, Shard())


@pytest.fixture
def installed(monkeypatch):
    """(library=version): as if these were installed."""

    def versions(**changes: str) -> dict[str, str]:
        found = {"mujoco": "4.0.0", "torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.2.6"} | changes
        monkeypatch.setattr(ledger, "library_versions", lambda: found)
        return found

    return versions


def interrupted(protocol: Protocol, folder: Path) -> None:
    """An evaluation that was killed after its first episode."""
    evaluate(protocol, RANDOM, folder, workers=0)
    episodes = folder / FOLDER / EPISODES
    episodes.write_text(episodes.read_text().splitlines(keepends=True)[0])


def as_begun_before_versions_were_noted(folder: Path) -> None:
    file = folder / FOLDER / FINGERPRINT
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "versions"}))


def test_an_evaluation_is_not_resumed_with_another_physics_engine(stand_in, protocol, tmp_path, installed):
    installed()
    interrupted(protocol, tmp_path)
    installed(mujoco="4.1.0")
    with pytest.raises(DialError, match=r"was started with other settings: versions\.mujoco was 4\.0\.0, is now 4\.1\.0\. Choose another"):
        evaluate(protocol, RANDOM, tmp_path, workers=0)


def test_a_result_names_the_libraries_of_all_its_episodes(stand_in, protocol, tmp_path, installed):
    first = installed()
    interrupted(protocol, tmp_path)
    installed(torch="2.14.0")
    both = first | {"torch": "2.13.0 and 2.14.0"}
    assert evaluate(protocol, RANDOM, tmp_path, workers=0)["versions"] == both
    installed(torch="2.15.0")  # nothing is left to run with it
    assert evaluate(protocol, RANDOM, tmp_path, workers=0)["versions"] == both


def test_an_evaluation_that_an_earlier_version_began_is_resumed_and_names_no_libraries(stand_in, protocol, tmp_path, installed):
    installed()
    interrupted(protocol, tmp_path)
    as_begun_before_versions_were_noted(tmp_path)
    installed(mujoco="4.1.0")
    for _ in ("resumed", "finished"):
        assert evaluate(protocol, RANDOM, tmp_path, workers=0)["versions"] == {}


def test_shards_that_ran_with_different_physics_engines_are_not_joined(stand_in, protocol, tmp_path, installed):
    folders = [tmp_path / "1", tmp_path / "2"]
    for number, (folder, mujoco) in enumerate(zip(folders, ("4.0.0", "4.1.0"), strict=True), 1):
        installed(mujoco=mujoco, torch=f"2.{number}")
        evaluate(protocol, RANDOM, folder, workers=0, shard=Shard(number, 2))
    with pytest.raises(DialError, match=r"2 ran with mujoco 4\.1\.0, .*1 with 4\.0\.0"):
        merge(folders)
    file = folders[1] / FOLDER / FINGERPRINT
    file.write_text(file.read_text().replace("4.1.0", "4.0.0"))
    assert merge(folders)["versions"]["torch"] == "2.1 and 2.2"
    as_begun_before_versions_were_noted(folders[1])
    assert merge(folders)["versions"] == {}


def test_shards_of_different_versions_of_a_users_own_task_are_not_joined(own_task, tmp_path):
    for number, source in ((1, "tray"), (2, "placemat")):
        Ledger(tmp_path / f"{number}", own_task(source), Shard(number, 2))
    with pytest.raises(DialError, match="the task_files differ"):
        merge([tmp_path / "1", tmp_path / "2"])


def test_shards_cover_every_scene_once():
    cases = all_cases(Protocol(policy="random", tasks=("A", "B"), episodes=5))
    parts = [Shard(number, 3).part(cases) for number in (1, 2, 3)]
    assert sorted(case for part in parts for case in part) == sorted(cases)
    assert {case.task for case in parts[0]} == {"A", "B"}
    assert Shard.parse("2/3").part(cases)[0] == Case("A", 100_001)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(DialError, match="K/N"):
        Shard.parse(text)


def test_shards_that_do_not_belong_together_are_not_joined(stand_in, protocol, tmp_path):
    for number in (1, 2):
        evaluate(protocol, RANDOM, tmp_path / f"{number}", workers=0, shard=Shard(number, 3))
    with pytest.raises(DialError, match=r"got 1/3, 2/3"):
        merge([tmp_path / "1", tmp_path / "2"])
    with pytest.raises(DialError, match="no shards"):
        merge([])
    with pytest.raises(DialError, match="holds no evaluation"):
        merge([tmp_path / "3"])
    evaluate(protocol.model_copy(update={"episodes": 2}), RANDOM, tmp_path / "other", workers=0, shard=Shard(3, 3))
    with pytest.raises(DialError, match="the protocol differ"):
        merge([tmp_path / name for name in ("1", "2", "other")])
