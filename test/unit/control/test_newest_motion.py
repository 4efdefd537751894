"""What waits for a controller's report, and what does not: the newest motion was sent, and one of two controllers has lost it."""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import JointMotion

S, MS = 1_000_000_000, 1_000_000
BEGIN_NS = 10 * S
BEFORE = JointMotion(BEGIN_NS, np.array([0.001, 2.0]), np.array([[0.0, 0.0], [1.0, 0.5]]), np.array([[0.5, 0.25], [0.5, 0.25]]))
NEWEST = replace(BEFORE, origin_ns=BEGIN_NS + 150 * MS, positions=np.array([[0.075, 0.0], [-1.0, 0.5]]))
TAKES_OVER_NS = BEGIN_NS + 450 * MS


def reports(execution, name, time_ns, motion):
    column = ("arm", "hand").index(name)
    execution.note_reference(name, time_ns, motion.origin_ns, motion.sample(time_ns)[0][[column]])


@pytest.fixture
def execution():
    """Both controllers played BEFORE; NEWEST was sent at 0.2 s and takes over late. The latency is 10 ms."""
    execution = ExecutedMotion({"arm": [0], "hand": [1]}, ("a", "b"), 0.3)
    execution.sent(BEFORE, BEGIN_NS, BEGIN_NS + 50 * MS)
    for k in range(1, 21):
        for name in ("arm", "hand"):
            reports(execution, name, BEGIN_NS + k * 10 * MS, BEFORE)
    execution.sent(NEWEST, BEGIN_NS + 200 * MS, TAKES_OVER_NS)
    return execution


def test_what_leaves_the_motion_before_the_newest_takes_over_waits_for_no_report(execution):
    now_ns = BEGIN_NS + 400 * MS
    for k in range(23, 41):
        reports(execution, "arm", BEGIN_NS + k * 10 * MS, BEFORE)
        reports(execution, "hand", BEGIN_NS + k * 10 * MS, NEWEST)
    assert not execution.awaits_report(now_ns, TAKES_OVER_NS - 50 * MS)
    assert execution.awaits_report(now_ns, TAKES_OVER_NS + 50 * MS)


def test_nothing_waits_for_a_controller_that_has_fallen_silent(execution):
    reports(execution, "arm", BEGIN_NS + 230 * MS, BEFORE)
    for k in range(23, 50):
        reports(execution, "hand", BEGIN_NS + k * 10 * MS, NEWEST)
    assert not execution.awaits_report(BEGIN_NS + 490 * MS, TAKES_OVER_NS + 50 * MS)


def test_a_controller_that_moves_on_is_noticed_beside_one_that_is_silent(execution):
    """The newest is a hold: it is repeated for the arm, which has certainly lost it; the hand, of which that is not known, is left out."""
    reports(execution, "hand", BEGIN_NS + 210 * MS, BEFORE)
    late_ns = TAKES_OVER_NS + 20 * MS
    reports(execution, "arm", late_ns, BEFORE)
    assert execution.moves_on(late_ns)
    assert execution.unconfirmed(late_ns) == ["hand"]


def test_a_report_from_before_a_step_of_the_simulators_clock_says_nothing_of_now(execution):
    reports(execution, "arm", BEGIN_NS + 230 * MS, BEFORE)
    reports(execution, "hand", BEGIN_NS + 230 * MS, NEWEST)
    now_ns = BEGIN_NS + 1140 * MS
    execution.skip(now_ns, 900 * MS)
    assert execution.in_doubt(now_ns + 5 * MS)
    reports(execution, "arm", BEGIN_NS + 240 * MS, BEFORE)
    assert execution.in_doubt(now_ns + 5 * MS)
    reports(execution, "arm", now_ns + 2 * MS, BEFORE)
    assert not execution.in_doubt(now_ns + 5 * MS)
