import pytest

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.evaluation.protocol import Protocol, wilson_interval


def test_wilson_interval_equals_published_values():
    assert wilson_interval(85, 100) == pytest.approx((0.7672, 0.9069), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_the_hash_changes_with_everything_in_the_protocol():
    first = Protocol()
    assert first.hash == Protocol().hash
    assert first.hash != Protocol(execute_steps=4).hash


def test_training_seeds_are_refused():
    with pytest.raises(DialError, match="seed"):
        validate(Protocol, {"seed": 5}, source="dial eval")
