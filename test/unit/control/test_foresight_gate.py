"""The contract of a foresight: each breach has its name, is counted, and leaves the foresight before in use."""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.control.foresight_gate import Foresight, ForesightContract, ForesightGate, Refusal
from dial_core.control.motion import NANOSECONDS

NOW_NS = 100 * NANOSECONDS
GOOD = Foresight(np.zeros((4, 3), np.float32), (4, 3), "float32", NOW_NS - 100_000_000, 1, "task", "model")
CONTRACT = ForesightContract(model_id="model", shape=(4, 3), timeout_s=0.8)


def with_nan():
    tokens = np.zeros((4, 3), np.float32)
    tokens[2, 1] = np.nan
    return tokens


BREACHES = {
    Refusal.MODEL: {"model_id": "other"},
    Refusal.SHAPE: {"shape": (3, 4), "tokens": np.zeros((3, 4), np.float32)},
    Refusal.DTYPE: {"dtype": "float16"},
    Refusal.VALUES: {"tokens": with_nan()},
    Refusal.INSTRUCTION: {"instruction_id": "an older task"},
    Refusal.FUTURE: {"stamp_ns": NOW_NS + 200_000_000},
    Refusal.STALE: {"stamp_ns": NOW_NS - 900_000_000},
}


@pytest.mark.parametrize("reason", BREACHES)
def test_a_breach_is_refused_by_name_and_changes_nothing(reason):
    gate = ForesightGate(CONTRACT)
    assert gate.offer(GOOD, "task", NOW_NS)
    assert not gate.offer(replace(GOOD, **BREACHES[reason]), "task", NOW_NS)
    assert gate.newest is GOOD
    assert gate.refused == {reason: 1}
    assert gate.last_refusal.startswith(str(reason))


def test_bytes_that_do_not_fill_the_shape_are_a_wrong_shape():
    gate = ForesightGate(CONTRACT)
    assert not gate.offer(replace(GOOD, tokens=np.zeros(11, np.float32)), "task", NOW_NS)
    assert gate.refused == {Refusal.SHAPE: 1}


def test_the_newest_observation_wins_and_gaps_are_lost_messages():
    gate = ForesightGate(CONTRACT)
    newer = replace(GOOD, stamp_ns=GOOD.stamp_ns + 50_000_000, seq=4)
    assert gate.offer(GOOD, "task", NOW_NS)
    assert gate.offer(newer, "task", NOW_NS)
    assert gate.newest is newer
    assert gate.lost == 2


@pytest.mark.parametrize("behind_ns", [0, 100_000_000])
def test_one_that_comes_twice_or_after_a_newer_one_is_refused_and_the_newer_one_stays(behind_ns):
    gate = ForesightGate(CONTRACT)
    gate.offer(GOOD, "task", NOW_NS)
    assert not gate.offer(replace(GOOD, stamp_ns=GOOD.stamp_ns - behind_ns), "task", NOW_NS)
    assert gate.newest is GOOD
    assert gate.refused == {Refusal.ORDER: 1}


def test_after_a_restart_of_system_2_its_sequence_numbers_restart_and_are_accepted():
    gate = ForesightGate(CONTRACT)
    gate.offer(replace(GOOD, seq=90), "task", NOW_NS)
    assert gate.offer(replace(GOOD, seq=1, stamp_ns=GOOD.stamp_ns + 1), "task", NOW_NS)
    assert gate.lost == 0


def test_clearing_drops_the_foresight_and_keeps_the_counts():
    gate = ForesightGate(CONTRACT)
    gate.offer(GOOD, "task", NOW_NS)
    gate.offer(replace(GOOD, model_id="other"), "task", NOW_NS)
    gate.clear()
    assert gate.newest is None
    assert gate.refused == {Refusal.MODEL: 1}
