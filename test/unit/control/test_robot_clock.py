"""The robot's clock as System-1 sees it: steps of either clock are found, and no time is named that the robot has not reached."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dial_core.control.motion import NANOSECONDS
from dial_core.control.robot_clock import RobotClock, Which

MS = 1_000_000
S = NANOSECONDS


class Clocks:
    """Three clocks and a robot that sends joint states every 10 ms, which take 3 ms."""

    def __init__(self, simulated=False):
        self.clock = RobotClock(simulated)
        self.steady, self.own, self.robot = 50 * S, 1000 * S, 1000 * S
        self.run(1.0)

    def run(self, seconds, joint_states=True, rate=1.0):
        for _ in range(round(seconds * 100)):
            stamp = self.robot
            self.advance(3 * MS, rate)
            if joint_states:
                self.clock.note_joint_state(stamp, self.own, self.steady)
            self.clock.robot_ns(self.own, self.steady)
            self.advance(7 * MS, rate)

    def advance(self, ns, rate=1.0):
        self.steady += ns
        self.own += round(ns * rate)
        self.robot += round(ns * rate)

    @property
    def seen(self):
        return self.clock.robot_ns(self.own, self.steady)


@pytest.mark.parametrize("simulated", [False, True])
def test_clocks_that_agree_are_left_alone(simulated):
    clocks = Clocks(simulated)
    assert clocks.seen == clocks.own
    assert clocks.clock.take_steps() == []


@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize("step_s", [10.0, 3600.0, -10.0, 0.8, -0.8])
def test_after_a_step_of_the_own_clock_time_is_unknown_until_a_joint_state_and_then_the_robots(step_s, simulated):
    clocks = Clocks(simulated)
    clocks.own += round(step_s * S)
    assert clocks.seen is None
    (step,) = clocks.clock.take_steps()
    assert (step.which, round(step.seconds, 1)) == (Which.OWN, step_s)
    assert str(step) == f"System-1's clock stepped {'forward' if step_s > 0 else 'back'} by {abs(step_s):.1f} s"
    clocks.run(0.02)
    assert clocks.robot - 10 * MS <= clocks.seen <= clocks.robot
    assert clocks.clock.offset_s == pytest.approx(step_s, abs=0.01)
    clocks.run(3.0)
    assert clocks.robot - 10 * MS <= clocks.seen <= clocks.robot
    assert clocks.clock.take_steps() == []


@pytest.mark.parametrize("step_s", [10.0, -10.0])
def test_a_machine_whose_clock_steps_takes_own_and_robots_clock_along(step_s):
    clocks = Clocks()
    clocks.own += round(step_s * S)
    clocks.robot += round(step_s * S)
    assert clocks.seen is None, "a stamp of the old time would do as much harm as one of the new"
    clocks.run(0.02)
    assert [(s.which, round(s.seconds)) for s in clocks.clock.take_steps()] == [(Which.OWN, step_s), (Which.ROBOT, step_s)]
    assert clocks.seen == clocks.own


@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize("step_s", [10.0, -10.0])
def test_a_step_of_the_robots_clock_alone_shows_in_the_next_joint_state(step_s, simulated):
    clocks = Clocks(simulated)
    clocks.robot += round(step_s * S)
    clocks.run(0.02)
    (step,) = clocks.clock.take_steps()
    assert (step.which, round(step.seconds)) == (Which.ROBOT, step_s)
    assert clocks.robot - 10 * MS <= clocks.seen <= clocks.robot


def test_the_first_tick_of_a_simulated_clock_is_no_step():
    clock = RobotClock(simulated=True)
    clock.robot_ns(0, 1 * S)
    assert clock.robot_ns(300 * S, 1 * S + MS) == 300 * S
    assert clock.take_steps() == []


def test_a_late_joint_state_is_no_step_and_neither_is_a_stream_that_comes_back():
    clocks = Clocks()
    clocks.run(2.0, joint_states=False)
    clocks.run(0.5)
    clocks.run(0.4, joint_states=False)
    late_ns = clocks.robot - 390 * MS
    clocks.clock.note_joint_state(late_ns, clocks.own, clocks.steady)
    clocks.run(0.5)
    assert clocks.clock.take_steps() == []
    assert clocks.seen == clocks.own


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0, 8.0])
def test_simulated_time_may_run_at_any_rate(rate):
    clocks = Clocks(simulated=True)
    for _ in range(10):
        clocks.run(0.2, rate=rate)
        assert clocks.clock.take_steps() == []
        assert clocks.seen == clocks.own


def test_a_clock_that_is_set_apart_by_less_than_a_step_is_corrected_by_the_stamps():
    clocks = Clocks()
    clocks.own += round(0.4 * S)
    clocks.run(1.5)
    assert clocks.robot - 10 * MS <= clocks.seen <= clocks.robot
    clocks.own -= round(0.8 * S) + 0
    clocks.run(0.05)
    assert clocks.robot - 10 * MS <= clocks.seen <= clocks.robot


ACTS = st.lists(
    st.tuples(st.sampled_from(["run", "own", "robot", "both", "silence"]), st.floats(-20, 20).filter(lambda s: abs(s) > 0.6)), max_size=12
)


@settings(deadline=None)
@example([("silence", 1.0), ("robot", -0.75)], False)
@given(ACTS, st.booleans())
def test_whatever_steps_a_time_that_is_named_after_joint_states_have_arrived_was_reached_by_the_robot(acts, simulated):
    clocks = Clocks(simulated)
    for act, seconds in acts:
        if act in ("own", "both"):
            clocks.own += round(seconds * S)
        if act in ("robot", "both"):
            clocks.robot += round(seconds * S)
        assert act in ("run", "robot", "silence") or clocks.seen is None
        clocks.run(0.3, joint_states=act != "silence")
        if act != "silence":
            assert clocks.seen is not None
            assert clocks.seen <= clocks.robot + 150 * MS
