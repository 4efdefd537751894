from dataclasses import replace

import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.evaluation import rollout
from dial_core.evaluation.policies import DialPolicy, wrong_instruction
from dial_core.evaluation.probes import evaluate
from dial_core.evaluation.protocol import Protocol
from dial_core.evaluation.report import summarise, write_report
from dial_core.evaluation.rollout import EpisodeResult, run_episodes
from dial_core.runtime.checkpoint import make_random_checkpoint
from dial_core.sim.world import World

RESULT = EpisodeResult(100_000, "put the can on the plate", True, 2, True, False, 120)


@pytest.fixture(scope="module")
def world() -> World:
    return World("PlacematToPlate")


@pytest.fixture
def checkpoint(tmp_path):
    make_random_checkpoint(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_the_expert_succeeds_and_leaves_a_video(tmp_path):
    results = run_episodes(Protocol(policy="expert", episodes=1, seed=100_001), None, 0, tmp_path, count=1)
    assert results[0].success
    assert results[0].named_moved
    assert (tmp_path / "seed-100001.mp4").is_file()


def test_a_crash_is_a_failure_of_its_scene(world, monkeypatch):
    monkeypatch.setattr(rollout, "make_policy", lambda protocol, checkpoint: None)
    rollout._kept.clear()
    results = run_episodes(Protocol(episodes=6), None, workers=0)
    rollout._kept.clear()
    assert not any(result.success for result in results)
    assert all("NoneType" in (result.error or "") for result in results)
    # A crashed scene with two objects still counts among those in which the named one was not moved.
    drawn = []
    for result in results:
        world.reset(result.seed)
        drawn.append(len(world.scene.objects))
    assert [result.objects for result in results] == drawn
    assert set(drawn) == {1, 2}
    summary = summarise(Protocol(episodes=6), results, wall_s=1.0)
    assert summary["crashed"] == 6
    assert summary["two_objects"]["named_moved"]["trials"] == drawn.count(2)


def test_more_steps_than_a_chunk_has_are_refused_before_the_first_episode(checkpoint):
    with pytest.raises(DialError, match=r"execute_steps 17 is more than the 16"):
        DialPolicy(checkpoint, Protocol(execute_steps=17))
    with pytest.raises(DialError, match=r"choose 1\.\.16"):
        evaluate(Protocol(execute_steps=17, episodes=1), checkpoint, workers=0)


def test_system2_looks_every_period_and_system1_waits_for_its_delay(world, checkpoint):
    policy = DialPolicy(checkpoint, Protocol(execute_steps=4, system2_period_steps=8, system2_delay_steps=3, flow_steps=1))
    world.reset(100_000)
    policy.begin(world)
    image = world.render()
    for _ in range(9):
        assert policy.targets(world, image).shape == (29,)
    assert [step for step, _ in policy._foresights] == [0, 8 + 3]


def test_a_frozen_foresight_is_made_once_and_a_zero_one_is_zero(world, checkpoint):
    for kind, expected in (("first_frame", 1), ("zeros", 2)):
        policy = DialPolicy(checkpoint, Protocol(foresight=kind, system2_period_steps=2, flow_steps=1))
        world.reset(100_000)
        policy.begin(world)
        for _ in range(3):
            policy.targets(world, world.render())
        assert len(policy._foresights) == expected
    assert not np.any(policy._foresights[0][1])


def test_the_wrong_instruction_names_the_other_object(world):
    for seed in range(100_000, 100_020):
        world.reset(seed)
        objects = [thing.type for thing in world.scene.objects]
        if len(objects) == 2:
            assert objects[1 - world.scene.target] in wrong_instruction(world)
        assert wrong_instruction(world) != world.instruction


def test_a_report_counts_by_number_of_objects_and_names_its_protocol(tmp_path):
    results = [RESULT, replace(RESULT, success=False, named_moved=False, other_moved=True), replace(RESULT, objects=1)]
    summary = summarise(Protocol(episodes=3), results, wall_s=1.0)
    assert summary["success"]["successes"] == 2
    assert summary["two_objects"]["other_moved"] == {"successes": 1, "trials": 2, "rate": 0.5, "interval": [0.0945, 0.9055]}
    text = write_report(tmp_path, {"checkpoint": summary}, "PlacematToPlate")
    assert "66.7 (2/3)" in text
    assert Protocol(episodes=3).hash in text
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", "result.md", "success.png"}
