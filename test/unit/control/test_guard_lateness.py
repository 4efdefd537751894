"""The guard in time: trajectories that come late, and a guard that is not scheduled while it judges.

pytest test/unit/control/test_guard_lateness.py
"""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.control.motion import NANOSECONDS
from dial_core.control.splice import hold
from dial_core.control.trajectory_checks import Tolerances, TrajectoryCheck

from .guard_rig import ARM, ARM_COLUMNS, GR1, LIMITS, MS, Rig, request_of


@pytest.fixture
def rig():
    return Rig()


def turned_back(rig, lead_ms):
    """A swing of the arm runs; returned is what leaves it `lead_ms` from now and decelerates."""
    assert rig.offer(ARM.name, rig.swing(0.5))
    rig.run(0.5)
    running = rig.guard._controlled[ARM.name].motions.newest
    return request_of(ARM.name, hold(running, rig.now_ns - 100 * MS, rig.now_ns + lead_ms * MS, LIMITS.of(ARM_COLUMNS)))


@pytest.mark.parametrize(("judging_ms", "passes"), [(0, True), (2, True), (20, True), (30, False)])
def test_a_trajectory_is_judged_for_the_time_at_which_it_is_published(rig, judging_ms, passes):
    assert rig.offer(ARM.name, turned_back(rig, 60), judging_ns=judging_ms * MS) is passes
    assert passes or rig.guard.breach.check is TrajectoryCheck.LATE
    rig.run(1.0)
    assert rig.worst <= 1 + 1e-6


def test_a_judgement_for_a_time_that_the_clock_has_gone_back_from_is_made_again(rig):
    request, times_ns = turned_back(rig, 500), iter([rig.now_ns + 3 * MS, rig.now_ns, rig.now_ns])
    assert rig.guard.offer(ARM.name, request, lambda: next(times_ns))
    assert next(times_ns, None) is None, "three readings, two judgements"


def slow_clock(rig, judgement_ms):
    """A clock that a processor reads which needs so long for each judgement."""
    times_ns = iter(range(rig.now_ns, rig.now_ns + NANOSECONDS, judgement_ms * MS))
    return lambda: next(times_ns)


@pytest.mark.parametrize(("lead_ms", "passes"), [(41, False), (42, False), (45, True), (500, True)])
def test_a_slow_processor_judges_for_the_time_at_which_it_will_publish(rig, lead_ms, passes):
    """4 ms each: the third judgement, begun after 8 ms, is for 11 ms and publishes after 12, and a trajectory must agree for 32 ms more."""
    assert rig.guard.offer(ARM.name, turned_back(rig, lead_ms), slow_clock(rig, 4)) is passes
    assert passes or rig.guard.breach.check is TrajectoryCheck.LATE


def test_what_two_slow_judgements_make_expect_refuses_nothing_that_would_be_in_time(rig):
    request = turned_back(rig, 500)
    assert rig.guard.offer(ARM.name, request, slow_clock(rig, 6))
    rig.run(0.02)
    running, limits = rig.guard._controlled[ARM.name].motions.newest, LIMITS.of(ARM_COLUMNS)
    close = hold(running, rig.now_ns - 90 * MS, rig.now_ns + 34 * MS, limits)
    assert rig.guard.offer(ARM.name, request_of(ARM.name, close), lambda: rig.now_ns), "judged for 5 ms later it is late"


def test_of_each_controller_is_expected_what_its_own_judgements_took(rig):
    assert rig.guard.offer(ARM.name, turned_back(rig, 500), slow_clock(rig, 4))
    other, clock, times_ns = GR1.controllers[1], slow_clock(rig, 1), []
    start = rig.set_points[-1][GR1.indices(other.joints)]
    rows = tuple(tuple((start + share * 0.1).tolist()) for share in (0.0, 0.5, 1.0))
    swing = rig.swing(0.1, joint_names=other.joints, positions=rows)
    assert rig.guard.offer(other.name, swing, lambda: times_ns.append(clock()) or times_ns[-1])
    assert len(times_ns) == 2, "one judgement"


def simulated_clock(rig, rng, judgement_ms):
    """As a node reads it in a simulation at half of real time: the newest tick, one each 10 ms, plus the real time since it came."""
    real_ms, ticks_ms = 0.0, np.cumsum(rng.exponential(20.0, size=100))

    def read():
        nonlocal real_ms
        real_ms += judgement_ms * (0.5 + rng.exponential(0.5))
        tick = int(np.searchsorted(ticks_ms, real_ms, side="right"))
        return rig.now_ns + round((10 * tick + real_ms - (ticks_ms[tick - 1] if tick else 0.0)) * MS)

    return read


@pytest.mark.parametrize("judgement_ms", [1.0, 2.5])
def test_a_simulated_clock_that_goes_back_at_its_ticks_makes_no_trajectory_late(judgement_ms):
    rng, refused = np.random.default_rng(0), []
    for _ in range(100):
        rig = Rig()
        if not rig.guard.offer(ARM.name, rig.swing(0.5, begins_s=0.3), simulated_clock(rig, rng, judgement_ms)):
            refused.append(str(rig.guard.breach))
    assert refused == []


def test_what_a_judgement_took_is_not_known_if_the_clock_went_back_meanwhile(rig):
    """4 ms each. After two of them the clock goes back within the third, and the fourth is still expected to take as long as the two."""
    request, times_ns = turned_back(rig, 500), iter(rig.now_ns + ms * MS for ms in (0, 4, 8, 5, 9))
    assert rig.guard.offer(ARM.name, request, lambda: next(times_ns))
    assert next(times_ns, None) is None


def test_a_guard_that_is_never_in_time_refuses(rig):
    """Each judgement takes longer than any is expected to."""
    assert not rig.guard.offer(ARM.name, turned_back(rig, 500), slow_clock(rig, 8))
    assert rig.guard.breach.check is TrajectoryCheck.LATE
    assert "10 judgements took 0.080 s" in str(rig.guard.breach)


def test_a_hold_is_made_for_the_time_at_which_it_is_published(rig):
    """A guard that is not scheduled between the holds of two controllers."""
    both = [controller.name for controller in GR1.controllers[:2]]
    for controller in GR1.controllers[:2]:
        start = rig.set_points[-1][GR1.indices(controller.joints)]
        assert rig.offer(
            controller.name,
            rig.swing(
                0.3, joint_names=controller.joints, positions=tuple(tuple((start + share * 0.3).tolist()) for share in (0.0, 0.5, 1.0))
            ),
        )
    rig.run(0.5)
    began_ns, holds = rig.now_ns, {}
    running = {name: rig.guard._controlled[name].motions.newest for name in both}
    for name, motion in rig.guard.holds(lambda: rig.now_ns):
        holds[name] = motion
        rig.now_ns += 60 * MS
    for k, name in enumerate(both):
        before_ns = began_ns + (60 * k + 58) * MS  # the least time of a trajectory, 32 ms, and HOLD_RESERVE_S, less the knots' distance
        np.testing.assert_allclose(holds[name].sample(before_ns)[0], running[name].sample(before_ns)[0], atol=1e-9)


def test_a_trajectory_published_late_may_take_over_as_much_later(rig):
    """What it replaces runs until then, so the next trajectory must agree with that too."""
    first = turned_back(rig, 60)
    before = rig.guard._controlled[ARM.name].motions.newest
    assert rig.guard.offer(ARM.name, first, lambda: rig.now_ns)
    rig.guard.note_published(ARM.name, rig.now_ns + 50 * MS)
    until_ns, motion = rig.guard._controlled[ARM.name].motions._superseded[-1]
    assert motion is before
    assert until_ns == rig.now_ns + 50 * MS + round(Tolerances().window_s * NANOSECONDS)


def test_a_trajectory_that_arrives_after_its_end_is_late_and_no_fault_of_its_commander(rig):
    assert rig.offer(ARM.name, rig.swing(0.1))
    rig.run(1.5)
    assert not rig.offer(ARM.name, rig.swing(0.1, stamp_ns=rig.now_ns - 300 * MS, over_s=0.1))
    assert rig.guard.breach.check is TrajectoryCheck.LATE
    assert "in the past" in str(rig.guard.breach)
    assert rig.offer(ARM.name, rig.swing(0.1)), "no reset is needed"


@pytest.mark.parametrize("begins_ms", [30, 9, 1, 0, -1, -150])
def test_a_motion_from_rest_that_comes_around_its_first_point_is_late_and_no_fault_of_its_commander(rig, begins_ms):
    # 1 ms before it, in the controller's period, it was neither ahead nor past, and stopped the guard until its reset.
    swing = rig.swing(0.3, begins_s=0.2, stamp_ns=rig.now_ns + (begins_ms - 200) * MS)
    beside = replace(swing, positions=tuple(tuple((np.array(row) + 0.006).tolist()) for row in swing.positions))
    assert not rig.offer(ARM.name, beside)
    assert rig.guard.breach.check is TrajectoryCheck.LATE, rig.guard.breach


@pytest.mark.parametrize("delta", [0.0, 0.02])
def test_a_clock_ahead_of_the_robots_does_not_let_a_motion_begin_from_rest_before_the_controller_rests(rig, delta):
    assert rig.offer(ARM.name, rig.swing(0.5))
    rig.run(1.06)
    goal = rig.guard._controlled[ARM.name].motions.newest.positions[-1]

    def from_rest():
        swing = rig.swing(-0.3, over_s=1.0, begins_s=0.5)
        moved = goal + delta - np.array(swing.positions[0])
        return replace(swing, positions=tuple(tuple((np.array(row) + moved).tolist()) for row in swing.positions))

    assert not rig.guard.offer(ARM.name, from_rest(), lambda: rig.now_ns + 60 * MS)
    assert rig.guard.breach.check is TrajectoryCheck.LATE
    rig.run(0.05)
    assert rig.offer(ARM.name, from_rest()), "it rests"
    rig.run(2.0)
    assert rig.worst <= 1 + 1e-6
