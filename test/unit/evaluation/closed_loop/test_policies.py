import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dial_core.checkpoint.checkpoint import make_random_checkpoint
from dial_core.checkpoint.contract import read_contract
from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.episodes import save_episode
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import TabletopArena
from dial_core.evaluation.closed_loop.policies import PolicySource, RandomPolicy, ReplayPolicy, make_policy
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.jobs.results import EndOfJobsError
from dial_core.robot.embodiment import load_embodiment


@pytest.fixture(scope="module")
def arena():
    arena = TabletopArena("PlacematToPlate")
    yield arena
    arena.close()


def policy_of(checkpoint, **changes):
    return make_policy(Protocol(flow_steps=1, **changes), PolicySource("checkpoint", str(checkpoint)))


def begin(policy, arena, seed=100_000):
    arena.reset(seed)
    policy.begin(arena, seed, arena.instruction)
    return arena.observe()


def test_a_policy_is_named_as_the_command_line_has_it():
    assert PolicySource.parse("expert") == PolicySource("expert")
    assert PolicySource.parse("random") == PolicySource("random")
    assert PolicySource.parse("replay:out/data") == PolicySource("replay", "out/data")
    assert PolicySource.parse("tcp://host:1") == PolicySource("checkpoint", "tcp://host:1")
    assert PolicySource.parse("out/checkpoint") == PolicySource("checkpoint", "out/checkpoint")


def test_a_device_that_is_not_there_is_refused_before_anything_is_loaded(checkpoint, monkeypatch):
    source = PolicySource.parse(str(checkpoint), "cuda:1")
    assert source.device == "cuda:1"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(DialError, match="device 'cuda:1': PyTorch finds 1 GPUs"):
        source.facts(Protocol())
    with pytest.raises(DialError, match="device 'gpu' is none: choose cpu, cuda or cuda:N"):
        make_policy(Protocol(), replace(source, device="gpu"))


def test_another_checkpoint_than_the_protocols_ends_the_run(checkpoint, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, folder)
    source = PolicySource("checkpoint", str(folder))
    protocol = Protocol(**source.facts(Protocol()))
    make_policy(protocol, source)
    make_random_checkpoint(folder, seed=1)  # a training that goes on saves over it
    with pytest.raises(EndOfJobsError, match=rf"{folder} now holds \w+, this evaluation was started with {protocol.model_id}"):
        make_policy(protocol, source)


def test_where_and_how_precisely_a_checkpoint_computes_goes_into_the_protocol(checkpoint, monkeypatch):
    def computes(source: PolicySource) -> tuple[str, str]:
        facts = source.facts(Protocol())
        return facts["device"], facts["precision"]

    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert computes(PolicySource("checkpoint", str(checkpoint))) == ("cpu", "float32")
    assert computes(PolicySource("checkpoint", str(checkpoint), "cuda:1")) == ("cuda", "bfloat16")
    served = SimpleNamespace(contract=read_contract(checkpoint))
    monkeypatch.setattr("dial_core.evaluation.closed_loop.policies.open_sessions", lambda *_: (served, served))
    assert computes(PolicySource("checkpoint", "tcp://host:1")) == ("", "")  # a server does not tell


@pytest.mark.parametrize("kind", ["expert", "random"])
def test_a_policy_without_a_model_is_commanded_directly(kind):
    assert PolicySource.parse(kind).facts(Protocol(policy=kind)) == {"policy": kind, "execution": "direct", "model_id": ""}


def test_more_steps_than_a_chunk_has_are_refused(checkpoint):
    with pytest.raises(DialError, match=r"execute_steps 17 is more than the 16 .*choose 1\.\.16"):
        policy_of(checkpoint, execute_steps=17)
    with pytest.raises(DialError, match="execute_steps 17"):
        PolicySource("checkpoint", str(checkpoint)).facts(Protocol(execute_steps=17))


def test_a_program_that_cannot_be_opened_is_refused_before_the_first_episode(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("DIAL_PROGRAMS", str(tmp_path))
    with pytest.raises(DialError, match=r"no exported program .*; make it with `dial export"):
        PolicySource("checkpoint", str(checkpoint)).facts(Protocol(runtime="onnx"))


def test_system2_runs_every_period_and_system1_waits_for_its_delay(arena, checkpoint):
    policy = policy_of(checkpoint, execute_steps=4, system2_period_steps=8, system2_delay_steps=3)
    seen = begin(policy, arena)
    for _ in range(17):
        assert policy.targets(seen).shape == (5, 29)
    assert [observed for observed, _ in policy.foresights] == [0, 8, 16]
    # Chunks at steps 0, 4, 8, 12, 16 acted on foresights of the steps 0, 0, 0, 8, 8.
    assert policy.foresight_age_s == pytest.approx(np.mean([0, 4, 8, 4, 8]) * 0.05)


def test_a_frozen_foresight_is_made_once_and_a_zero_one_is_zero(arena, checkpoint):
    for kind, expected in (("first_frame", 1), ("zeros", 2)):
        policy = policy_of(checkpoint, foresight=kind, system2_period_steps=2)
        seen = begin(policy, arena)
        for _ in range(3):
            policy.targets(seen)
        assert len(policy.foresights) == expected
    assert not np.any(policy.foresights[0][1])


def test_a_wrong_instruction_changes_the_foresight_and_not_the_received_one(arena, checkpoint):
    own, wrong = policy_of(checkpoint), policy_of(checkpoint, foresight="wrong_instruction")
    for policy in (own, wrong):
        policy.targets(begin(policy, arena))
    assert wrong.received_instruction == own.received_instruction == arena.instruction
    assert np.abs(wrong.foresights[0][1] - own.foresights[0][1]).max() > 1e-5


def test_the_wrong_instruction_names_the_other_object(arena):
    for seed in range(100_000, 100_020):
        arena.reset(seed)
        objects = [thing.type for thing in arena.world.scene.objects]
        if len(objects) == 2:
            assert objects[1 - arena.world.scene.target] in arena.other_instruction()
        assert arena.other_instruction() != arena.instruction


def test_the_other_object_is_named_where_there_is_one(arena):
    for seed in range(100_000, 100_010):
        arena.reset(seed)
        named, count = arena.world.scene.target, len(arena.world.scene.objects)
        arena.reset(seed, other=True)
        assert (arena.world.scene.target != named) == (count > 1)


@pytest.mark.slow
def test_the_experts_future_is_what_the_expert_sees_one_horizon_later(arena, checkpoint):
    policy = policy_of(checkpoint, foresight="expert_future")
    seen = begin(policy, arena)
    future = policy._future
    assert arena.steps == 0, "the scene is put back"
    np.testing.assert_array_equal(future.frames[0], seen.image)
    policy.targets(seen)
    tokens = policy._system2.image_tokens(future.frames[16])
    np.testing.assert_array_equal(policy.foresights[0][1], tokens)
    # Matched by pose, and never backwards.
    assert np.array_equal(future.frame(future.joints[12]), future.frames[28])
    future.frame(future.joints[5])
    assert future.reached >= 12
    assert np.array_equal(replace(future, reached=len(future.frames) - 3).frame(future.joints[-1]), future.frames[-1])


def test_no_image_is_rendered_for_a_policy_that_uses_none(arena):
    arena.reset(1)
    assert arena.observe().image.shape == (96, 96, 3)
    unseen = arena.observe(look=False)
    assert unseen.image.size == 0
    np.testing.assert_array_equal(unseen.joints, arena.observe().joints)


def test_chance_walks_inside_the_limits_and_equally_for_equal_seeds(arena):
    walks = []
    for _ in range(2):
        policy = RandomPolicy()
        seen = begin(policy, arena)
        walks.append([policy.targets(seen) for _ in range(200)])
    np.testing.assert_array_equal(*walks)
    assert np.all(walks[0] >= arena.embodiment.lower)
    assert np.all(walks[0] <= arena.embodiment.upper)


def test_only_episodes_that_begin_as_their_scene_does_are_replayed(fake_episode, tmp_path):
    files = [tmp_path / "attempts" / f"{seed}.npz" for seed in range(4)]
    for seed, (file, fact) in enumerate(zip(files, ("", "disturbed", "changed", "missed"), strict=True)):
        episode = fake_episode(seed)
        save_episode(file, replace(episode, facts=episode.facts | ({fact: True} if fact else {})), 20.0)
    write_dataset(tmp_path / "data", files, load_embodiment(), (96, 96))
    assert ReplayPolicy(tmp_path / "data").seeds("PlacematToPlate") == [0]


def test_a_replay_gives_the_recorded_actions_of_the_scenes_episode(arena, fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "data")
    policy = ReplayPolicy(tmp_path / "data")
    seen = begin(policy, arena, seed=1)
    span = dataset.episodes[1]
    targets = np.stack([policy.targets(seen) for _ in range(span.length + 2)])
    np.testing.assert_array_equal(targets[: span.length], dataset.actions[span.first : span.first + span.length, 18:])
    np.testing.assert_array_equal(targets[-1], targets[span.length - 1])
    assert policy.received_instruction == span.instruction
    with pytest.raises(DialError, match=r"no undisturbed episode of task PlacematToPlate, seed 7; it has seeds 0 to 2"):
        policy.begin(arena, 7, "")
    source = PolicySource("replay", str(tmp_path / "data"))
    assert source.seeds(Protocol(policy="replay", seed=1)) == (1, 2)
    with pytest.raises(DialError, match="one task at a time"):
        source.seeds(Protocol(policy="replay", seed=0, tasks=("A", "B")))
    with pytest.raises(DialError, match="seed of at least 3"):
        source.seeds(Protocol(policy="replay", seed=3))
    facts = source.facts(Protocol(policy="replay", seed=0))
    assert (facts["policy"], facts["execution"]) == ("replay", "direct")
    assert (facts["seeds"], facts["episodes"], len(facts["model_id"])) == ((0, 1, 2), 3, 16)
    make_policy(Protocol(seed=0, **facts), source)
    with pytest.raises(EndOfJobsError, match="this evaluation was started with another"):
        make_policy(Protocol(seed=0, **facts | {"model_id": "another"}), source)
