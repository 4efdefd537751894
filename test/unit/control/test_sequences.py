"""Sequences of events at 1 kHz, in any order: operator, lifecycle, instructions, clock steps, lost inputs; over arming, plan, controllers.

Whatever happens, the set-points that the controllers execute keep every limit, they rest where System-1 may not move, no trajectory
begins ahead of the robot's clock, and nothing but a new request arms. `DIAL_SEQUENCES=1000` plays that many sequences instead of 25.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dial_core.control.arming import State
from dial_core.control.motion import NANOSECONDS
from dial_core.control.overlap import STRATEGIES

from .sequence_robot import GUARD, HORIZON, LEAD_S, STEP_S, TRANSPORT_MS, SequenceSystem1

TOLERANCE = 0.02  # of a limit: second differences over 1 ms of numbers in float64
# What a stop may take: a frame to notice, preparation and lead, and the slowest joint from full speed to rest.
STOP_S = 0.05 + 0.01 + LEAD_S + TRANSPORT_MS / 1000 + float((GUARD.velocity / GUARD.acceleration).max()) + 0.05
END_S = HORIZON * STEP_S + 0.7  # by when a motion that nobody stops has come to rest


class Sequences(RuleBasedStateMachine):
    naming_origin = True  # of what controllers play, in their reports

    @initialize(strategy=st.sampled_from(sorted(STRATEGIES)), simulated=st.booleans(), seed=st.integers(0, 1000))
    def begin(self, strategy, simulated, seed):
        self.system1, self.simulated = SequenceSystem1(strategy, simulated, seed), simulated
        self.system1.naming_origin = self.naming_origin
        self.count, self.active, self.stopped, self.valid = 0, False, False, None
        self.may_not_move_since, self.certain = 0, False  # ticks without motion allowed; whether a hold could be published
        self.ticks = 0
        self.activate()
        self.instruct()
        self.run(600)

    def run(self, ticks):
        for _ in range(ticks):
            self.system1.tick()
            self.ticks += 1
            moves = self.system1.arming.state in (State.WAITING, State.RUNNING, State.HOLDING)
            self.may_not_move_since = 0 if moves else self.may_not_move_since + 1
            self.judge()

    def judge(self):
        robot, arming = self.system1.robot, self.system1.arming
        assert robot.worst <= 1 + TOLERANCE, f"{robot.worst:.3f} of a limit of velocity or acceleration"
        assert robot.outside <= 1e-4, f"{robot.outside:.4f} rad outside of the position limits"
        within_s = STOP_S if self.certain else END_S
        if self.may_not_move_since > 1000 * within_s:
            assert robot.rests_since > 0, f"moves {self.may_not_move_since} ms after it was {arming.state.value}: {arming.reason}"
        if arming.state in (State.WAITING, State.RUNNING, State.HOLDING):
            assert self.active
            assert not self.stopped
            assert arming.instruction_id == self.valid

    def event(self, effect):
        self.system1.supervisor.carry_out(effect)

    # -- operator and lifecycle

    @rule(pause_ms=st.integers(1, 600))
    def let_run(self, pause_ms):
        self.run(pause_ms)

    @rule()
    def activate(self):
        if not self.active:
            self.event(self.system1.arming.activate(self.system1.own_ns))
            self.system1.plan.release(self.system1.now_ns())
            self.active, self.valid = True, None

    @rule()
    def deactivate(self):
        if self.active:
            self.certain = True
            self.event(self.system1.arming.deactivate(self.system1.own_ns))
            self.active, self.valid = False, None

    @rule()
    def instruct(self):
        if self.active:
            self.count += 1
            self.event(self.system1.supervisor.instruct(f"{self.count}", self.system1.own_ns))
            self.valid = None if self.stopped else f"{self.count}"

    @precondition(lambda self: self.count)
    @rule(back=st.integers(0, 3))
    def instruct_again(self, back):
        """A latched instruction arrives again: voided or not, it asks for nothing new."""
        if self.active and (str(self.count - back) != self.valid):
            name = str(max(self.count - back, 1))
            armed = self.system1.arming.instruction_id
            if name in self.system1.arming._voided or name == armed:
                self.event(self.system1.supervisor.instruct(name, self.system1.own_ns))

    @rule()
    def pause(self):
        if self.active:
            self.certain = True
            self.event(self.system1.arming.pause(self.system1.own_ns))

    @rule()
    def resume(self):
        self.event(self.system1.arming.resume(self.system1.own_ns))

    @rule()
    def estop(self):
        self.certain = self.active
        self.event(self.system1.arming.estop("test", self.system1.own_ns))
        self.stopped, self.valid = True, None
        self.may_not_move_since = 0

    @rule()
    def reset_estop(self):
        self.event(self.system1.arming.reset_estop(self.system1.own_ns))
        self.stopped = False

    # -- clocks and inputs

    @rule(seconds=st.sampled_from([10.0, 3600.0, -10.0, 0.9, -0.9]))
    def step_own_clock(self, seconds):
        self.system1.own_ahead_ns += round(seconds * NANOSECONDS)
        self._clock_stepped()

    @rule()
    def synchronise(self):
        if self.system1.own_ahead_ns:
            self.system1.own_ahead_ns = 0
            self._clock_stepped()

    @rule(seconds=st.sampled_from([10.0, 0.9]))
    def step_both_clocks(self, seconds):
        """The machine that robot and System-1 run on is set forward."""
        if "joint_states" not in self.system1.lost:
            self._settle()
            self.system1.robot.step_clock(seconds)
            self._clock_stepped()

    @rule()
    def restart_simulation(self):
        if self.simulated and "joint_states" not in self.system1.lost:
            self._settle()
            self.system1.robot.restart()
            self.system1.under_way.clear()
            # rclpy calls the node back at every jump back, by however little: two restarts may follow each other within half a second.
            self.system1.clock.note_jump_back(self.system1.own_ns, self.system1.steady_ns)
            self._clock_stepped()

    @rule(name=st.sampled_from(["camera", "joint_states", "foresight"]), lost_ms=st.integers(50, 1500))
    def lose_input(self, name, lost_ms):
        self.system1.lost.add(name)
        self.certain = False
        self.run(lost_ms)
        self.system1.lost.discard(name)
        self.run(30)

    @rule(k=st.integers(0, 1), deaf_ms=st.integers(20, 1500))
    def lose_trajectories(self, k, deaf_ms):
        """A controller gets no trajectory for a while: partitioned, or it rejects them."""
        self.system1.robot.deaf_ticks[k] = deaf_ms
        self._controller_fails(deaf_ms)

    @rule(k=st.integers(0, 1), deaf_ms=st.integers(250, 1500))
    def restart_controller(self, k, deaf_ms):
        """Switching takes longer than a report: what is on its way when the controller stops cannot be called back."""
        self.system1.robot.restart_controller(k, deaf_ms)
        self._controller_fails(deaf_ms)

    def _controller_fails(self, deaf_ms):
        self.certain = False
        self.run(deaf_ms + 200)
        if self.system1.arming.state is State.DISARMED and "does not execute" in self.system1.arming.reason:
            self.valid = None

    def _settle(self):
        """A trajectory that is under way while the robot's own clock steps is dated in the old time: nothing on this side can help that."""
        while self.system1.under_way:
            self.run(1)

    def _clock_stepped(self):
        self.valid, self.certain, self.may_not_move_since = None, False, 0
        self.system1.now_ns()
        self.system1.supervisor.react(self.system1.clock.take_steps(), self.system1.own_ns)
        self.run(30)


class SequencesWithoutOrigin(Sequences):
    """The same of controllers that do not say how long they have played."""

    naming_origin = False


SEQUENCES = int(os.environ.get("DIAL_SEQUENCES", "25"))


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_controller_that_missed_everything_for_two_seconds_moves_again_by_one_instruction(strategy):
    machine = Sequences()
    machine.begin(strategy, simulated=True, seed=1)
    system1 = machine.system1
    assert system1.arming.state is State.RUNNING
    system1.robot.deaf_ticks[0] = 2000
    machine.run(2500)
    assert system1.arming.state is State.DISARMED
    machine.instruct()
    machine.run(2500)
    assert system1.arming.state is State.RUNNING
    assert system1.plan.execution.diverged(system1.plan.running, system1.robot.now_ns) == {}


def test_a_hold_is_not_repeated_while_a_controller_may_play_it():
    """The hand missed a chunk, plays an older one at its limit, and gets a hold that leaves it late: until then both are in one place."""
    machine = SequencesWithoutOrigin()
    machine.begin("blend", simulated=False, seed=503)
    machine.restart_controller(k=0, deaf_ms=463)
    machine.lose_trajectories(k=1, deaf_ms=159)
    machine.deactivate()
    machine.lose_input("joint_states", 374)  # `judge` finds the step of the hand


def test_a_stop_waits_for_a_controller_that_may_have_missed_the_last_trajectory():
    """The arm missed one whose lead is long, as its report showed when it should have had it: the stop is not spliced into that one."""
    machine = Sequences()
    machine.begin("replace", simulated=True, seed=778)
    machine.lose_trajectories(k=0, deaf_ms=20)
    machine.lose_trajectories(k=0, deaf_ms=20)
    machine.pause()
    machine.run(1500)


def test_a_stop_does_not_wait_for_a_controller_that_two_motions_have_in_one_place():
    machine = SequencesWithoutOrigin()
    machine.begin("replace", simulated=False, seed=500)
    machine.let_run(pause_ms=155)
    machine.lose_trajectories(k=0, deaf_ms=158)
    machine.let_run(pause_ms=599)
    machine.instruct()
    machine.deactivate()
    machine.let_run(pause_ms=553)


def test_of_two_older_motions_in_one_place_neither_is_taken_to_be_played():
    """The hand missed a chunk, then the hold; where it first reports neither of the two it is where the chunk and the one before are."""
    machine = SequencesWithoutOrigin()
    machine.begin("ensemble", simulated=True, seed=457)
    machine.deactivate()
    machine.lose_trajectories(k=1, deaf_ms=500)


def test_a_hold_after_a_step_of_the_simulators_clock_waits_for_a_controller_that_may_have_missed_the_last_trajectory():
    machine = Sequences()
    machine.begin("replace", simulated=True, seed=154)
    machine.pause()
    machine.let_run(pause_ms=344)
    machine.lose_trajectories(k=1, deaf_ms=20)
    machine.resume()
    machine.lose_trajectories(k=1, deaf_ms=200)
    machine.step_both_clocks(seconds=0.9)


def test_a_controller_that_came_back_to_where_it_was_reported_is_not_taken_to_stand():
    machine = SequencesWithoutOrigin()
    machine.begin("replace", simulated=True, seed=270)
    machine.restart_controller(k=1, deaf_ms=668)
    machine.restart_controller(k=0, deaf_ms=252)


def test_a_second_restart_within_half_a_second_voids_the_instruction_too():
    machine = Sequences()
    machine.begin("rtc", simulated=True, seed=539)
    machine.restart_simulation()
    machine.instruct()
    machine.run(300)
    machine.restart_simulation()
    assert machine.system1.arming.state is State.DISARMED


TestSequences = Sequences.TestCase
TestSequencesWithoutOrigin = SequencesWithoutOrigin.TestCase
TestSequencesWithoutOrigin.settings = TestSequences.settings = settings(
    max_examples=SEQUENCES,
    stateful_step_count=20,
    deadline=None,
    derandomize=SEQUENCES == 25,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # shrinking would take minutes; the steps that fail are printed anyway
)
