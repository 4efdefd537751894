"""What controllers report to a guard that has not sent them anything: a first trajectory continues that, wherever the joints are measured.

pytest test/unit/control/test_guard_reports.py
"""

import numpy as np
import pytest

from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.control.trajectory_checks import Tolerances, TrajectoryCheck
from dial_core.control.trajectory_guard import TrajectoryGuard

from .guard_rig import ARM, ARM_COLUMNS, GR1, LIMITS, MS, PERIOD_NS, START_NS, Rig

HOME = GR1.home_position
HAND = next(c for c in GR1.controllers if c.name == "right_hand_controller")
HAND_COLUMNS = GR1.indices(HAND.joints)


class FreshGuard:
    """A guard that has just started, beside a robot at rest: where it is measured and, for the first `reported_ms`, reported."""

    def __init__(self, measured, references, reported_ms=300, drifts_rad=0.0):
        self.guard, self.now_ns = TrajectoryGuard(GR1, LIMITS, Tolerances()), START_NS
        for k in range(30):
            self.now_ns = START_NS + k * PERIOD_NS
            self.guard.note_joints(self.now_ns, measured)
            for controller in GR1.controllers if 10 * k < reported_ms else ():
                columns = GR1.indices(controller.joints)
                self.guard.note_reference(controller.name, self.now_ns, references[columns] + k * drifts_rad)

    def offer(self, controller, place, later_s=0.0):
        """Whether a trajectory that stands at `place` (J,) passes."""
        now_ns = self.now_ns + round(later_s * 1e9)
        row = tuple(place[GR1.indices(controller.joints)].tolist())
        return self.guard.offer(
            controller.name,
            TrajectoryRequest(controller.joints, now_ns, (200 * MS, 700 * MS), (row, row), ((0.0,) * len(row),) * 2),
            lambda: now_ns,
        )


def test_joint_states_of_somebody_else_pass_no_motion_from_there():
    """A joint_state_publisher's zeros: the elbows stand at -1.68 rad, and a trajectory from 0 passed."""
    zeros = np.clip(np.zeros(29), LIMITS.lower, LIMITS.upper)
    fresh = FreshGuard(zeros, HOME)
    assert not fresh.offer(ARM, zeros)
    assert fresh.guard.breach.check is TrajectoryCheck.MEASURED
    assert "l_elbow_pitch is measured at 0.00 rad, but left_arm_controller reports that it commands -1.68 rad" in str(fresh.guard.breach)


def test_a_first_trajectory_continues_what_is_reported_and_not_what_is_measured():
    measured = HOME.copy()
    measured[ARM_COLUMNS] += 0.1
    assert FreshGuard(measured, HOME).offer(ARM, HOME)
    assert not FreshGuard(measured, HOME).offer(ARM, measured)


def test_a_grip_that_blocks_the_fingers_is_continued():
    gripping, blocked = HOME.copy(), HOME.copy()
    gripping[HAND_COLUMNS[:4]], blocked[HAND_COLUMNS[:4]] = 3.0, 1.5
    assert FreshGuard(blocked, gripping).offer(HAND, gripping)
    assert not FreshGuard(blocked, gripping).offer(HAND, blocked)


@pytest.mark.parametrize(
    ("changes", "later_s", "words"),
    [
        ({"drifts_rad": 0.001}, 0.0, "left_arm_controller reports that it moves"),
        ({"reported_ms": 100}, 0.0, None),
        ({"references": np.full(29, np.nan)}, 0.0, None),
    ],
)
def test_a_controller_that_reports_to_move_is_waited_for(changes, later_s, words):
    fresh = FreshGuard(**{"measured": HOME, "references": HOME} | changes)
    assert fresh.offer(ARM, HOME, later_s) is (words is None)
    assert words is None or words in str(fresh.guard.breach)


def test_a_controller_that_has_stopped_reporting_gets_nothing_until_it_is_back():
    fresh = FreshGuard(HOME, HOME)
    fresh.now_ns += 1200 * MS
    fresh.guard.note_joints(fresh.now_ns - 150 * MS, HOME)
    fresh.guard.note_joints(fresh.now_ns, HOME)
    assert not fresh.offer(ARM, HOME)
    assert "left_arm_controller has not reported for 1.2 s what it commands" in str(fresh.guard.breach)
    fresh.guard.note_reference(ARM.name, fresh.now_ns, HOME[ARM_COLUMNS])
    fresh.now_ns += 1
    assert fresh.offer(ARM, HOME)


def test_when_the_robots_time_begins_again_reports_of_the_old_one_say_nothing():
    fresh = FreshGuard(HOME, HOME + 0.2)
    fresh.guard.reset_motion()
    for k in range(30):
        fresh.guard.note_joints(k * PERIOD_NS, HOME)
    fresh.now_ns = 29 * PERIOD_NS
    assert fresh.offer(ARM, HOME)


def test_fingers_that_a_grip_blocks_do_not_stop_the_guard_and_an_arm_that_is_blocked_does():
    """In the simulated GR1 a can keeps the fingers by 0.55 rad from where they are sent: the guard stopped in the middle of the grip."""
    rig = Rig()
    for controller, off in ((HAND, 0.6), (ARM, 0.4)):
        columns = GR1.indices(controller.joints)
        row = tuple(HOME[columns].tolist())
        standing = TrajectoryRequest(controller.joints, rig.now_ns, (100 * MS, 700 * MS), (row, row), ((0.0,) * len(row),) * 2)
        assert rig.offer(controller.name, standing)
        rig.off[columns[0]] = off
        rig.run(1.0)
        standing = TrajectoryRequest(controller.joints, rig.now_ns, (100 * MS, 700 * MS), (row, row), ((0.0,) * len(row),) * 2)
        assert rig.offer(controller.name, standing) is (controller is HAND)
    assert rig.guard.breach.check is TrajectoryCheck.MEASURED
