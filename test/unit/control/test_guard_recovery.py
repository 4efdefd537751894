"""How a stopped guard passes again: by a later motion, whatever clock the one that stopped it had, or by a reset.

pytest test/unit/control/test_guard_recovery.py
"""

from dataclasses import replace

import pytest

from dial_core.control.motion import NANOSECONDS
from dial_core.control.trajectory_checks import TrajectoryCheck

from .guard_rig import ARM, GR1, MS, Rig

TWO_PUBLISH = (TrajectoryCheck.SOURCE, "two nodes publish")


@pytest.fixture
def rig():
    return Rig()


def from_a_clock_ahead(rig, seconds):
    swing = rig.swing(0.1)
    return replace(swing, stamp_ns=swing.stamp_ns + round(seconds * NANOSECONDS))


@pytest.mark.parametrize("ahead_s", [0.5, 600.0])
def test_after_a_second_commander_whose_clock_is_ahead_the_next_motion_passes(rig, ahead_s):
    """Its stamp was taken for that of a motion that was refused, and so was all before that: ten minutes of nothing but refusals."""
    assert not rig.offer(ARM.name, from_a_clock_ahead(rig, ahead_s), TWO_PUBLISH)
    rig.run(0.2)
    assert rig.offer(ARM.name, rig.swing(0.1))
    assert rig.guard.breach is None


def test_after_a_reset_a_motion_passes_whatever_was_refused_before(rig):
    wrong = replace(rig.swing(0.1), stamp_ns=rig.now_ns + 9 * MS)
    assert not rig.offer(ARM.name, replace(wrong, velocities=()))
    assert rig.guard.latched
    rig.guard.reset()
    rig.guard.stop(*TWO_PUBLISH)
    rig.run(0.01)
    assert rig.offer(ARM.name, replace(rig.swing(0.1), stamp_ns=wrong.stamp_ns - 5 * MS))


def test_the_parts_of_a_motion_that_was_refused_for_a_second_publisher_or_an_unknown_time_do_not_pass(rig):
    motion, other = rig.swing(0.1), GR1.controllers[1].name
    assert not rig.guard.offer(ARM.name, motion, lambda: None)
    assert rig.guard.breach.check is TrajectoryCheck.CLOCK
    assert not rig.offer(other, motion)
    assert rig.guard.refused[TrajectoryCheck.CLOCK] == 2
    rig.run(0.2)
    assert rig.offer(ARM.name, rig.swing(0.1))


def test_a_clock_that_is_set_back_takes_the_refused_motions_along(rig):
    assert not rig.offer(ARM.name, rig.swing(0.1), TWO_PUBLISH)
    rig.guard.shift(-10 * NANOSECONDS)
    rig.now_ns -= 10 * NANOSECONDS
    for at_ms in range(-200, 1, 10):
        rig.guard.note_joints(rig.now_ns + at_ms * MS, rig.set_points[-1])
    rig.now_ns += 20 * MS
    swing = rig.swing(0.1)
    assert rig.guard.offer(ARM.name, swing, lambda: rig.now_ns)
