import hashlib

import pytest

import dial_core
from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import Protocol, sources_hash
from dial_core.files.code_digest import code_of


def test_the_hash_changes_with_everything_in_the_protocol():
    first = Protocol()
    assert first.hash == Protocol().hash
    for change in ({"execute_steps": 4}, {"suite": "other"}, {"tasks": ("A",)}, {"seed": 100_001}, {"model_id": "x"}):
        assert Protocol(**change).hash != first.hash


def test_device_and_precision_change_the_hash_where_they_are_not_those_that_results_without_them_had():
    unnamed = Protocol().model_dump_json(exclude={"device", "precision"}) + dial_core.__version__
    assert Protocol().hash == hashlib.sha256(unnamed.encode()).hexdigest()[:12]
    assert Protocol(device="cpu", precision="float32").hash == Protocol().hash
    others = [Protocol(device="cuda", precision=precision).hash for precision in ("bfloat16", "float32")]
    assert len({Protocol().hash, *others}) == 3


def test_training_seeds_are_refused_but_for_a_replay():
    with pytest.raises(DialError, match="seed 5 is for training"):
        validate(Protocol, {"seed": 5}, source="dial eval")
    assert validate(Protocol, {"seed": 5, "policy": "replay"}, source="dial eval").seed == 5


def test_a_task_listed_twice_is_refused():
    with pytest.raises(DialError, match="twice: A"):
        validate(Protocol, {"tasks": ("A", "B", "A")}, source="dial eval")


def test_the_sources_have_one_hash_of_12_digits():
    assert len(sources_hash()) == 12
    assert sources_hash() == sources_hash()


def test_the_code_that_counts_is_what_an_episode_imports():
    code = code_of("dial_core.evaluation.closed_loop.rollout")
    for name in ("control.splice", "inference.policy_loop", "inference.simulated_loop", "model.system1", "sim.world", "sim.expert.expert"):
        assert f"dial_core.{name}" in code
    assert not [name for name in code if ".reports." in name or ".cli" in name or ".training." in name]
