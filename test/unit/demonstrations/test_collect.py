"""pytest test/unit/data/test_collect.py"""

import errno
import hashlib
import json
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from dial_core.datasets.episodes import Episode
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.demonstrations import collect as collecting
from dial_core.demonstrations.attempts import Attempts
from dial_core.demonstrations.collect import CollectJob, collect
from dial_core.demonstrations.collection_plan import CollectionPlan
from dial_core.demonstrations.shards import all_are_shards, is_shard, join_shards
from dial_core.errors import DialError
from dial_core.files.disk_space import DiskFullError
from dial_core.files.fingerprint import FINGERPRINT, require_same
from dial_core.sim.scene import scene_of
from dial_core.sim.task import load_task

TASK = load_task("PlacematToPlate")
OTHER = load_task("PlateToBowl")


def plan(episodes=1, tasks=(TASK,), **changes) -> CollectionPlan:
    return CollectionPlan(tuple(task.name for task in tasks), episodes, **{"seed": 0, "disturbed": 0.0, **changes})


def files_of(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def quick(monkeypatch):
    """Demonstrations that cost nothing: every fifth scene fails, scene 4 crashes."""

    def fake(world, seed, disturbed=False, changed=False, missed=False):
        if seed == 4:
            raise RuntimeError("the renderer is gone")
        if seed % 5 == 2:
            return None, "the object was not in place"
        rng = np.random.default_rng(seed)
        frames = rng.integers(0, 255, (5, 96, 96, 3)).astype(np.uint8)
        vectors = rng.normal(size=(2, 5, 47)).astype(np.float32)
        facts = {"task": world.name, "objects": ["can"], "target": 0, "disturbed": disturbed}
        return Episode(frames, *vectors, f"put the can on the plate, {world.name}", seed, facts), ""

    class Embodiment:
        rate_hz = 20.0

    class FakeWorld:
        def __init__(self, task):
            self.name, self.embodiment = task.name, Embodiment

    monkeypatch.setattr(collecting, "demonstrate", fake)
    monkeypatch.setattr(collecting, "_world", lambda task, size: FakeWorld(task))


def test_a_second_call_refuses_to_overwrite(tmp_path, quick):
    out = tmp_path / "dataset"
    assert collect((TASK,), plan(), out, workers=0)[TASK.name].successes == {0}
    assert not out.with_name("dataset.attempts").exists()
    with pytest.raises(DialError, match="exists already"):
        collect((TASK,), plan(), out, workers=0)


def test_the_first_successes_of_every_task_are_taken_and_failures_before_them_counted(tmp_path, quick):
    collect((TASK, OTHER), plan(4, (TASK, OTHER)), tmp_path / "dataset", workers=0)
    dataset = LeRobotDataset(tmp_path / "dataset")
    assert [span.seed for span in dataset.episodes] == [0, 1, 3, 5] * 2
    assert [span.facts["task"] for span in dataset.episodes] == [TASK.name] * 4 + [OTHER.name] * 4
    counted = json.loads((tmp_path / "dataset/meta/collection.json").read_text())
    assert (counted["episodes"], counted["failed"]) == (8, 4)
    assert list(counted["tasks"][OTHER.name]["failures"]) == ["2", "4"]
    assert "the renderer is gone" in counted["tasks"][OTHER.name]["failures"]["4"]


def test_joined_shards_equal_the_whole_byte_for_byte(tmp_path, quick):
    tasks = (TASK, OTHER)
    collect(tasks, plan(9, tasks), tmp_path / "whole", workers=0)
    for part in (1, 2, 3):
        collect(tasks, plan(9, tasks, shard=(part, 3), spare=6), tmp_path / f"shard{part}", workers=0)
        assert is_shard(tmp_path / f"shard{part}")
    join_shards([tmp_path / f"shard{part}" for part in (2, 3, 1)], tmp_path / "joined")
    assert files_of(tmp_path / "joined") == files_of(tmp_path / "whole")


def test_a_missing_shard_another_collection_and_one_that_stopped_early_are_refused(tmp_path, quick):
    for part in (1, 2):
        collect((TASK,), plan(6, shard=(part, 2), spare=0), tmp_path / f"shard{part}", workers=0)
    with pytest.raises(DialError, match="shards 2/2 are missing"):
        join_shards([tmp_path / "shard1"], tmp_path / "joined")
    collect((TASK,), plan(6, seed=7, shard=(2, 2)), tmp_path / "other", workers=0)
    with pytest.raises(DialError, match="another collection"):
        join_shards([tmp_path / "shard1", tmp_path / "other"], tmp_path / "joined")
    with pytest.raises(DialError, match=r"shard 2/2 .* --spare"):
        join_shards([tmp_path / "shard1", tmp_path / "shard2"], tmp_path / "joined")
    with pytest.raises(DialError, match="is no shard"):
        join_shards([tmp_path], tmp_path / "joined")


def test_shards_among_whole_datasets_are_named(tmp_path, quick):
    whole, shard = tmp_path / "whole", tmp_path / "shard"
    collect((TASK,), plan(), whole, workers=0)
    collect((TASK,), plan(shard=(1, 2)), shard, workers=0)
    assert all_are_shards([shard])
    assert not all_are_shards([whole])
    with pytest.raises(DialError, match=rf"Shards: {shard}\. No shards: {whole}\."):
        all_are_shards([whole, shard])


def test_an_interrupted_collection_resumes_and_gives_the_same(tmp_path, quick, monkeypatch):
    collect((TASK,), plan(5), tmp_path / "whole", workers=0)
    real = collecting.run_jobs

    def cut_off(function, jobs, workers):
        for count, result in enumerate(real(function, jobs, workers)):
            yield result
            if count == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(collecting, "run_jobs", cut_off)
    with pytest.raises(KeyboardInterrupt):
        collect((TASK,), plan(5), tmp_path / "cut", workers=0)
    assert not (tmp_path / "cut").exists()
    monkeypatch.setattr(collecting, "run_jobs", real)
    collect((TASK,), plan(5), tmp_path / "cut", workers=0)
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def test_a_scene_in_flight_when_it_was_killed_is_tried_though_enough_later_ones_have_succeeded(tmp_path, quick, monkeypatch):
    collect((TASK,), plan(3), tmp_path / "whole", workers=0)
    with monkeypatch.context() as patch:
        patch.setattr(collecting, "pack", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            collect((TASK,), plan(3), tmp_path / "killed", workers=0)
    attempts = Attempts(tmp_path / "killed.attempts")
    attempts.episode(TASK.name, 1).unlink()
    collecting.attempt(CollectJob(TASK, 5, False, False, False, 96, attempts.folder))
    assert attempts.tally(TASK.name).successes == {0, 3, 5}
    collect((TASK,), plan(3), tmp_path / "killed", workers=0)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


KILLED_WHILE_WRITING = """
import os, signal, sys
import numpy as np
from dial_core.demonstrations import collect as collecting
from dial_core.datasets.episodes import Episode

def fake(world, seed, disturbed=False, changed=False, missed=False):
    zeros = np.zeros((2, 47), np.float32)
    return Episode(np.zeros((2, 96, 96, 3), np.uint8), zeros, zeros, "put the can down", seed, {"task": "PlacematToPlate"}), ""

class World:
    embodiment = type("Embodiment", (), {"rate_hz": 20.0})

savez = np.savez
def dies_in_the_third(file, **arrays):
    savez(file, **arrays)
    if len(list(collecting.Path(sys.argv[1] + ".attempts").rglob("*.npz"))) == 2:
        file.truncate(100)
        os.kill(os.getpid(), signal.SIGKILL)

collecting.demonstrate, collecting._world, np.savez = fake, lambda task, size: World, dies_in_the_third
task = collecting.Task.model_validate_json(sys.argv[2])
collecting.collect((task,), collecting.CollectionPlan((task.name,), 5, 0, 0.0), collecting.Path(sys.argv[1]), workers=0)
"""


def test_killed_while_it_writes_it_loses_the_episode_in_flight_and_no_other(tmp_path, quick):
    out = tmp_path / "dataset"
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(out), TASK.model_dump_json()]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    assert Attempts(tmp_path / "dataset.attempts").tally(TASK.name).successes == {0, 1}
    collect((TASK,), plan(5), out, workers=0)
    assert [span.seed for span in LeRobotDataset(out).episodes] == [0, 1, 3, 5, 6]


def test_attempts_of_other_settings_are_not_gone_on_with(tmp_path):
    require_same(tmp_path / "dataset.attempts", {**plan(disturbed=0.5).identity})
    with pytest.raises(DialError, match=r"disturbed was 0\.5, is now 0\.0; seed was 0, is now 7"):
        collect((TASK,), plan(seed=7), tmp_path / "dataset", workers=0)


@pytest.fixture
def begun(tmp_path, quick, monkeypatch):
    """(task, plan, **of the later keys): begins a collection and interrupts it after one attempt."""

    def begin(task=TASK, out=tmp_path / "dataset", **changes) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(collecting, "_note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                collect((task,), plan(**changes), out, workers=0)

    return begin


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"suite": "unseen_instruction"}, "suite was in_distribution, is now unseen_instruction"),
        ({"task": TASK.model_copy(update={"objects": ("mug",)})}, "contents was"),
    ],
)
def test_a_collection_is_not_resumed_with_other_tasks_of_the_same_names(begun, changes, error):
    begun(suite="in_distribution")
    with pytest.raises(DialError, match=error):
        begun(**{"suite": "in_distribution"} | changes)


def test_a_collection_is_not_resumed_with_another_expert(begun, monkeypatch):
    begun()
    monkeypatch.setattr(collecting, "sources_of", lambda entry: "another")
    with pytest.raises(DialError, match=r"sources was [0-9a-f]{12}, is now another"):
        begun()


def test_a_collection_of_an_earlier_version_is_resumed(begun, tmp_path):
    begun(suite="in_distribution")
    file = tmp_path / "dataset.attempts" / FINGERPRINT
    before = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in before.items() if key not in ("suite", "contents", "sources")}))
    assert collect((TASK,), plan(suite="in_distribution"), tmp_path / "dataset", workers=0)


def test_shards_of_other_tasks_or_experts_are_not_joined_and_those_of_an_earlier_version_are(tmp_path, quick):
    for part in (1, 2):
        collect((TASK,), plan(2, shard=(part, 2)), tmp_path / f"shard{part}", workers=0)
    file = tmp_path / "shard2" / FINGERPRINT
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | {"sources": "another"}))
    with pytest.raises(DialError, match="another collection"):
        join_shards([tmp_path / "shard1", tmp_path / "shard2"], tmp_path / "joined")
    file.write_text(json.dumps({key: value for key, value in values.items() if key not in ("contents", "sources")}))
    assert join_shards([tmp_path / "shard1", tmp_path / "shard2"], tmp_path / "joined").exists()


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3), (2, 3, 1)])
def test_shards_of_two_experts_are_not_joined_through_one_that_states_none(tmp_path, quick, order):
    for part, sources in ((1, {}), (2, {"sources": "one"}), (3, {"sources": "another"})):
        collect((TASK,), plan(3, shard=(part, 3)), tmp_path / f"shard{part}", workers=0)
        file = tmp_path / f"shard{part}" / FINGERPRINT
        values = json.loads(file.read_text())
        file.write_text(json.dumps({key: value for key, value in values.items() if key != "sources"} | sources))
    with pytest.raises(DialError, match=rf"shard{[part for part in order if part > 1][1]} is a shard of another collection"):
        join_shards([tmp_path / f"shard{part}" for part in order], tmp_path / "joined")


@pytest.mark.parametrize("share", ["changed", "missed", "two_objects"])
def test_a_collection_without_changes_or_misses_goes_on_with_one_from_before_there_were_any(share):
    assert share not in plan().identity
    assert plan(**{share: 0.2}).identity[share] == 0.2


def test_no_scene_with_two_objects_is_a_setting_of_its_own():
    assert plan(two_objects=0.0).identity != plan().identity


@pytest.mark.parametrize(("share", "place"), [("changed", 3), ("missed", 4)])
def test_a_share_of_the_attempts_changes_the_instruction_or_misses(tmp_path, quick, monkeypatch, share, place):
    asked = []
    plain = collecting.demonstrate
    monkeypatch.setattr(collecting, "demonstrate", lambda *given: (asked.append(given[2:]), plain(*given))[1])
    collect((TASK,), plan(30, **{share: 0.3}), tmp_path / "dataset", workers=0)
    shares = np.mean(asked, axis=0)
    assert 0.1 < shares[place - 2] < 0.5
    assert np.delete(shares, place - 2).max() == 0


@pytest.mark.parametrize("share", [0.0, 0.2, 0.8, 1.0])
def test_scenes_are_chosen_so_that_a_share_of_them_has_two_objects(share):
    """PlacematToPlate has two in half of its scenes."""
    chosen = list(islice(plan(two_objects=share).seeds(TASK), 200))
    found = np.mean([len(scene_of(TASK, seed).objects) > 1 for seed in chosen])
    assert abs(found - share) < 0.1
    parts = [set(islice(plan(two_objects=share, shard=(part, 2)).seeds(TASK), 100)) for part in (1, 2)]
    assert not parts[0] & parts[1]
    assert all(seed in parts[0] | parts[1] for seed in chosen[:100])


def test_a_task_of_single_objects_keeps_all_its_scenes():
    task = load_task("PlateToPan")
    assert list(islice(plan(two_objects=0.8).seeds(task), 5)) == [0, 1, 2, 3, 4]


def test_seeds_of_the_evaluation_are_never_collected(tmp_path):
    with pytest.raises(DialError, match="reserved for evaluation"):
        collect((TASK,), plan(seed=100_000), tmp_path / "dataset", workers=0)


def test_a_full_disk_ends_it_with_what_is_still_needed_and_the_same_call_resumes(quick, tmp_path, monkeypatch):
    save, saved = collecting.save_episode, []

    def full_after_two(path, *rest):
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(path, *rest)
        saved.append(path)

    monkeypatch.setattr(collecting, "save_episode", full_after_two)
    with pytest.raises(DiskFullError, match=r"attempts/PlacematToPlate: the disk is full .*; 3 more episodes need about \d+ MB there"):
        collect((TASK,), plan(episodes=5), tmp_path / "out", workers=0)
    monkeypatch.setattr(collecting, "save_episode", save)
    tally = collect((TASK,), plan(episodes=5), tmp_path / "out", workers=0)["PlacematToPlate"]
    assert "No space" not in str(tally.failures)
    assert len(LeRobotDataset(tmp_path / "out").episodes) == 5
