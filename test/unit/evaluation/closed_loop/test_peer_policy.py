"""A policy behind a server of openpi's protocol, on our tabletop and on the stand-in for the original benchmark's environments."""

from dataclasses import replace

import msgpack
import numpy as np
import pytest

from dial_core.errors import ConnectionLostError, DialError
from dial_core.evaluation.closed_loop import policies, rollout
from dial_core.evaluation.closed_loop.arena import TabletopArena
from dial_core.evaluation.closed_loop.evaluate import evaluate
from dial_core.evaluation.closed_loop.peer_policy import PeerAddress, PeerPolicy
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.jobs.results import EndOfJobsError

from .openpi_server import peer

PROTOCOL = Protocol(execute_steps=4)


@pytest.fixture(scope="module")
def arena():
    made = TabletopArena("PlacematToPlate")
    made.reset(100_000)
    yield made
    made.close()


def rows(state: np.ndarray, count: int = 8) -> np.ndarray:
    """A chunk that adds 1 mrad a row."""
    return state + 0.001 * np.arange(1, count + 1, dtype=np.float32)[:, None]


def test_it_sees_image_state_and_prompt_and_its_rows_are_commanded_one_a_step(arena):
    with peer(lambda seen: {"actions": rows(seen["observation/state"])}) as (address, asked):
        policy = PeerPolicy(PeerAddress.parse(f"{address}?size=64"), PROTOCOL)
        policy.begin(arena, 100_000, "put the can on the plate")
        assert policy.needs_image
        observation = arena.observe()
        for step in range(1, 5):
            np.testing.assert_allclose(policy.targets(observation), observation.joints + 0.001 * step, atol=1e-5)
        assert policy.needs_image
        assert len(asked) == 1
        policy.targets(observation)
    assert len(asked) == 2
    assert asked[0]["prompt"] == "put the can on the plate"
    assert (asked[0]["observation/image"].shape, asked[0]["observation/image"].dtype) == ((64, 64, 3), np.uint8)
    assert asked[0]["observation/state"].shape == (arena.embodiment.state_dim,)


def test_a_new_episode_drops_the_rest_of_the_chunk(arena):
    with peer(lambda seen: {"actions": rows(seen["observation/state"])}) as (address, asked):
        policy = PeerPolicy(PeerAddress.parse(address), PROTOCOL)
        for _ in range(2):
            policy.begin(arena, 100_000, "put the can on the plate")
            policy.targets(arena.observe())
        assert len(asked) == 2


def test_keys_and_layout_are_the_servers(arena):
    with peer(lambda seen: {"actions": np.tile(seen["q"], (4, 1))}) as (address, asked):
        policy = PeerPolicy(PeerAddress.parse(f"{address}?image=rgb&state=q&prompt=task&layout=released"), PROTOCOL)
        policy.begin(arena, 100_000, "put the can on the plate")
        base = np.array([[0, -1, 0, 2.0], [1, 0, 0, -1.0], [0, 0, 1, 0.93], [0, 0, 0, 1]])
        observation = replace(arena.observe(), base=base)  # as the original benchmark reports it
        np.testing.assert_allclose(policy.targets(observation), observation.joints, atol=1e-4)  # there and back
    assert set(asked[0]) == {"rgb", "q", "task"}
    ours = policy._kinematics.state(observation.joints)
    assert not np.allclose(asked[0]["q"], ours)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("Traceback (most recent call last):\nKeyError: 'observation/wrist_image'", "refused: KeyError: 'observation/wrist_image'"),
        ({"action": np.zeros((4, 47), np.float32)}, "without a chunk `actions`.* it sent action"),
        ({"actions": np.zeros((4, 7), np.float32)}, r"actions \(4, 7\); expected at least 4 rows"),
        ({"actions": np.zeros((2, 47), np.float32)}, "expected at least 4 rows"),
        ({"actions": np.full((4, 47), np.nan, np.float32)}, "not finite"),
        (b"\xc1", "no msgpack message"),
    ],
)
def test_what_it_cannot_be_used_for_is_reported(arena, answer, message):
    with peer(lambda seen: answer) as (address, _):
        policy = PeerPolicy(PeerAddress.parse(address), PROTOCOL)
        policy.begin(arena, 100_000, "put the can on the plate")
        with pytest.raises(DialError, match=message):
            policy.targets(arena.observe())


def test_an_episode_that_ended_with_an_error_leaves_the_next_one_intact(arena):
    answers = iter(["Traceback\nRuntimeError: out of memory", b"\xc1", {"actions": np.zeros((4, 47), np.float32)}])
    with peer(lambda seen: next(answers)) as (address, asked):
        policy = PeerPolicy(PeerAddress.parse(address), PROTOCOL)
        for reason in ("out of memory", "no msgpack message"):
            policy.begin(arena, 100_000, "put the can on the plate")
            with pytest.raises(DialError, match=reason):
                policy.targets(arena.observe())
        policy.begin(arena, 100_000, "put the can on the plate")
        assert not policy.targets(arena.observe()).any()
    assert len(asked) == 3


def test_a_server_that_is_lost_ends_the_evaluation_and_fails_no_episode_so_that_the_same_call_resumes(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(rollout, "make_policy", policies.make_policy)
    alive = True

    def answer(seen):
        if len(asked) == 6 and not alive:  # in the second episode
            raise RuntimeError("killed")
        return {"actions": rows(seen["observation/state"])}

    with peer(answer) as (address, asked):
        source = PolicySource.parse(address)
        protocol = Protocol(episodes=3, **source.facts(Protocol()))
        alive = False
        with pytest.raises(ConnectionLostError, match=r"is gone: .*1 of 3 episodes are kept.*the same command resumes"):
            evaluate(protocol, source, tmp_path, workers=0)
        alive = True
        summary = evaluate(protocol, source, tmp_path, workers=0)
    assert (summary["success"]["trials"], summary["crashed"]) == (3, 0)


def test_a_server_that_is_not_there_when_an_episode_begins_is_a_lost_connection(arena):
    with peer(lambda seen: {}) as (address, _):
        policy = PeerPolicy(PeerAddress.parse(address), PROTOCOL)
    with pytest.raises(ConnectionLostError, match="no policy server of openpi's protocol at"):
        policy.begin(arena, 100_000, "put the can on the plate")


def test_a_server_that_does_not_answer_is_reported():
    with pytest.raises(DialError, match=r"no policy server of openpi's protocol at ws://127\.0\.0\.1:9"):
        PolicySource.parse("ws://127.0.0.1:9").facts(PROTOCOL)


@pytest.mark.parametrize("text", ["ws://host:1?sise=3", "ws://host:1?size=big", "ws://"])
def test_an_address_that_means_nothing_is_refused_at_once(text):
    with pytest.raises(DialError, match="ws://"):
        PolicySource.parse(text)


def test_what_the_server_reports_of_itself_goes_into_the_protocol():
    with peer(lambda seen: {}, {"model": "pi0"}) as (first, _), peer(lambda seen: {}, {"model": "pi0.5"}) as (second, _):
        facts = [PolicySource.parse(address).facts(PROTOCOL) for address in (first, first, second, f"{first}?size=96")]
    assert facts[0] == facts[1]
    assert len({fact["model_id"] for fact in facts}) == 3
    assert (facts[0]["policy"], facts[0]["execution"]) == ("peer", "direct")


def test_two_servers_that_report_the_same_are_two_policies_unless_they_are_named():
    def model_id(address: str) -> str:
        return PolicySource.parse(address).facts(PROTOCOL)["model_id"]

    with peer(lambda seen: {}, {}) as (first, _), peer(lambda seen: {}, {}) as (second, _):
        assert model_id(first) != model_id(second)
        assert model_id(f"{first}?name=pi0") == model_id(f"{second}?name=pi0") != model_id(first)
        assert model_id(f"{first}?name=pi0") != model_id(f"{first}?name=pi0-tuned")  # the server was started again with another one


def test_a_server_that_reports_something_else_than_at_the_beginning_ends_the_run(arena):
    reported = {"model": "pi0"}
    with peer(lambda seen: {}, reported) as (address, _):
        source = PolicySource.parse(address)
        policy = PeerPolicy(PeerAddress.parse(address), Protocol(**source.facts(PROTOCOL)))
        policy.begin(arena, 100_000, "put the can on the plate")
        reported["model"] = "pi0.5"
        with pytest.raises(EndOfJobsError, match=f"{address} now holds"):
            policy.begin(arena, 100_001, "put the can on the plate")


def test_the_messages_are_those_of_openpis_own_client():
    theirs = pytest.importorskip("openpi_client.msgpack_numpy", reason="pip install --no-deps openpi-client")
    from dial_core.inference.websocket_policy import _array_of, _packable

    values = {"image": np.arange(12, dtype=np.uint8).reshape(2, 2, 3), "rate": np.float32(2.5), "prompt": "go"}
    assert msgpack.packb(values, default=_packable) == theirs.packb(values)
    back = msgpack.unpackb(theirs.packb(values), object_hook=_array_of)
    np.testing.assert_array_equal(back["image"], values["image"])
    assert (back["rate"], back["prompt"]) == (2.5, "go")
