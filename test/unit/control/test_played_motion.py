"""The search for the place of a reference in a motion: as exact as one start after another, and cheap where there is no such place.

pytest test/unit/control/test_played_motion.py
"""

from unittest.mock import patch

import numpy as np
import pytest

from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.played_motion import (
    AGREES_S,
    CORRECTIONS,
    EXACT_RAD,
    START_S,
    STEADY_S,
    Earlier,
    Played,
    SentMotion,
    _place,
    by_position,
)

JOINTS, MOTIONS = 7, 8
COLUMNS = np.arange(JOINTS)


def wandering(rng: np.random.Generator) -> JointMotion:
    """A motion whose knots are 50 ms apart, at rest at its end after 0.8 s."""
    times_s = 0.05 * np.arange(17)
    velocities = rng.normal(0.0, 0.5, (17, JOINTS))
    velocities[-1] = 0.0
    return JointMotion(NANOSECONDS, times_s, np.cumsum(rng.normal(0.0, 0.02, (17, JOINTS)), axis=0), velocities)


def one_start_after_another(motion: JointMotion, time_ns: int, position: np.ndarray, early_s: float | None) -> float | None:
    """What `_place` finds, as it was written first."""
    starts_s, reach_s, centre_s = (START_S, AGREES_S, 0.0) if early_s is None else ((early_s,), STEADY_S, early_s)
    for start_s in starts_s:
        place = start_s
        for _ in range(CORRECTIONS):
            there, speed = motion.sample_offset(motion.offset_s(time_ns) + place)
            error = position - there
            if (np.abs(error) <= EXACT_RAD).all():
                return place
            if not speed.any():
                break
            place = min(max(place + float(speed @ error) / float(speed @ speed), centre_s - reach_s), centre_s + reach_s)
    return None


@pytest.mark.parametrize("early_s", [None, 0.0, 0.004])
@pytest.mark.parametrize("off_rad", [0.0, 0.9 * EXACT_RAD, 1.1 * EXACT_RAD, 0.01])
def test_a_place_is_found_where_one_start_after_another_finds_it(early_s, off_rad):
    rng, found = np.random.default_rng(0), 0
    for _ in range(60):
        motion, time_ns = wandering(rng), NANOSECONDS + int(rng.integers(-30, 850)) * 1_000_000
        position = motion.sample(time_ns + int(rng.integers(-25_000_000, 25_000_000)))[0]
        position[rng.integers(JOINTS)] += off_rad
        expected = one_start_after_another(motion, time_ns, position, early_s)
        place = _place(motion, COLUMNS, time_ns, position, early_s)
        assert place == (None if expected is None else pytest.approx(expected, abs=1e-9))
        found += place is not None
    assert found > 0 or off_rad > EXACT_RAD


@pytest.mark.parametrize(("off_rad", "samples"), [(0.05, 2 * MOTIONS), (2 * EXACT_RAD, 2 * MOTIONS * (1 + CORRECTIONS))])
def test_a_controller_that_plays_nothing_of_what_was_sent_costs_few_samples_a_report(off_rad, samples):
    """They are taken under the lock that an emergency stop waits for: one start after another took 36 of every motion, singly."""
    motion, time_ns = wandering(np.random.default_rng(1)), NANOSECONDS + 330_000_000
    sent = [SentMotion(motion, NANOSECONDS, NANOSECONDS)] * MOTIONS
    position = motion.sample(time_ns)[0]
    position[2] += off_rad
    with (
        patch.object(JointMotion, "sample_offsets", autospec=True, side_effect=JointMotion.sample_offsets) as many,
        patch.object(JointMotion, "sample_offset", autospec=True, side_effect=JointMotion.sample_offset) as single,
    ):
        assert by_position(sent, COLUMNS, time_ns, position, Earlier(early_s=0.0)) == Played(None)
    assert single.call_count <= 2 * MOTIONS
    assert many.call_count <= samples


@pytest.mark.parametrize("apart_s", [0.07, 0.05])
def test_a_motion_that_turned_back_between_two_reports_is_in_one_place_as_one_that_stands(apart_s):
    """Reports every 70 ms, 35 ms on either side of the turn: whether it stands or plays, the next report shows."""
    times_s = np.array([0.0, 0.1, 0.2])
    there_and_back = JointMotion(NANOSECONDS, times_s, np.array([[0.0], [0.1], [0.0]]), np.array([[2.0], [0.0], [-2.0]]))
    sent, time_ns = [SentMotion(there_and_back, NANOSECONDS, NANOSECONDS)], NANOSECONDS + 135_000_000
    place = there_and_back.sample(time_ns)[0]
    played = by_position(sent, np.arange(1), time_ns, place, Earlier(early_s=0.0, stood_s=apart_s))
    assert played == (Played(sent[0], decided=False, early_s=0.0) if apart_s == 0.07 else Played(None))
