"""The policy loop on a simulated robot: nothing arrives early, splices are continuous, limits hold, controllers play it.

pytest test/unit/inference/test_simulated_loop.py
"""

import numpy as np
import pytest

from dial_core.control.emulated_controllers import EmulatedControllers
from dial_core.control.joint_limits import Guard
from dial_core.control.motion_plan import MotionPlan
from dial_core.errors import DialError
from dial_core.finiteness import NotFiniteError
from dial_core.inference.policy_loop import PolicyLoop, gate_of
from dial_core.inference.simulated_loop import DirectPlaying, PlannedPlaying, SimulatedLoop, Timing
from dial_core.robot.embodiment import load_embodiment

GR1 = load_embodiment("gr1")
HOME = GR1.home_position


class StubContract:
    model_id, foresight_shape = "model", (2, 2)


class ClimbingChunks:
    """Stands for System-1: every chunk asks all joints for a little more than the one before, and for `asks` in all."""

    contract = StubContract()

    def __init__(self, asks: float = 0.02) -> None:
        self.asks, self.calls = asks, []

    def chunk(self, images, foresight, state, committed=None, base=None):
        self.calls.append((float(foresight[0, 0]), committed is not None))
        joints = HOME + self.asks * len(self.calls)
        return np.concatenate([np.zeros((16, 18)), np.tile(joints, (16, 1))], 1).astype(np.float32)


def play(system1, steps=40, strategy="ensemble", lead_s=0.05, **timing):
    """(Set-points (T, J) every 10 ms, the loop) of `steps` control steps; foresight k holds the number k."""
    guard = Guard.for_embodiment(GR1)
    plan = MotionPlan(GR1.joint_slice, 0.05, guard, lead_s, strategy)
    loop = PolicyLoop(system1, GR1, gate_of(system1.contract, np.inf), plan)
    simulated = SimulatedLoop(loop, PlannedPlaying(plan, EmulatedControllers(GR1)), Timing(**timing))
    simulated.begin(HOME)
    rows, made = [], 0
    for _ in range(steps):
        foresight = None
        if simulated.foresight_due:
            foresight, made = np.full((2, 2), made, np.float32), made + 1
        rows.extend(simulated.step(foresight, lambda: (np.zeros((96, 96, 3), np.uint8),), HOME))
    return np.array(rows), simulated


@pytest.mark.parametrize("strategy", ["replace", "blend", "ensemble", "rtc"])
def test_set_points_keep_velocity_and_acceleration_limits_across_splices(strategy):
    guard = Guard.for_embodiment(GR1)
    rows, _ = play(ClimbingChunks(asks=0.3), strategy=strategy)
    velocity = np.abs(np.diff(rows, axis=0)) / 0.01
    acceleration = np.abs(np.diff(rows, n=2, axis=0)) / 0.01**2
    assert velocity.max(axis=0).max() > 0.5, "it moves"
    assert (velocity <= guard.velocity * 1.001).all()
    assert (acceleration <= guard.acceleration * 1.01).all()


def test_a_chunk_moves_the_robot_only_after_its_delay_and_its_lead():
    rows, simulated = play(ClimbingChunks(asks=0.2), chunk_delay_s=0.2, lead_s=0.05)
    np.testing.assert_array_equal(rows[:25], np.tile(HOME, (25, 1)))  # 0.20 s delay, 0.05 s lead
    assert np.abs(rows[40] - HOME).max() > 0
    assert simulated.dropped == 0


def test_a_foresight_is_used_only_once_it_has_arrived_and_the_first_is_waited_for():
    system1 = ClimbingChunks()
    _, simulated = play(system1, steps=17, chunk_steps=4, foresight_steps=8, foresight_delay_s=0.15)
    # Frames 0, 4, 8, 12, 16; foresights of the frames 0, 8 and 16 arrive with the frames 0, 11 and 19.
    assert [foresight for foresight, _ in system1.calls] == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert simulated.ages_s == pytest.approx([0.0, 0.2, 0.4, 0.2, 0.4])


def test_real_time_chunking_commits_once_a_chunk_runs():
    system1 = ClimbingChunks()
    play(system1, steps=12, strategy="rtc")
    assert [committed for _, committed in system1.calls][:2] == [False, True]


def test_chunks_that_are_later_than_their_horizon_are_dropped_and_the_robot_stands():
    rows, simulated = play(ClimbingChunks(), steps=60, chunk_delay_s=0.9)
    assert simulated.dropped > 0
    np.testing.assert_array_equal(rows, np.tile(HOME, (len(rows), 1)))


def test_a_new_episode_drops_the_old_one():
    system1 = ClimbingChunks()
    guard = Guard.for_embodiment(GR1)
    plan = MotionPlan(GR1.joint_slice, 0.05, guard, 0.05, "ensemble")
    loop = PolicyLoop(system1, GR1, gate_of(system1.contract, np.inf), plan)
    simulated = SimulatedLoop(loop, PlannedPlaying(plan, EmulatedControllers(GR1)), Timing())
    ends = []
    for _ in range(2):
        system1.calls.clear()
        simulated.begin(HOME)
        for _step in range(12):
            foresight = np.zeros((2, 2)) if simulated.foresight_due else None
            rows = simulated.step(foresight, lambda: (np.zeros((96, 96, 3), np.uint8),), HOME)
        ends.append(rows)
    np.testing.assert_array_equal(*ends)
    assert len(system1.calls) == 4


def test_a_value_that_is_not_finite_never_reaches_the_plan():
    class Broken(ClimbingChunks):
        def chunk(self, *arguments, **named):
            return np.full((16, 47), np.nan, np.float32)

    with pytest.raises(NotFiniteError):
        play(Broken(), steps=3)


def test_a_foresight_older_than_its_limit_begins_no_chunk():
    system1 = ClimbingChunks()
    loop = PolicyLoop(system1, GR1, gate_of(system1.contract, 0.8))
    assert loop.begin(0) is None
    simulated = SimulatedLoop(
        loop,
        PlannedPlaying(MotionPlan(GR1.joint_slice, 0.05, Guard.for_embodiment(GR1), 0.05, "replace"), EmulatedControllers(GR1)),
        Timing(),
    )
    simulated._send_foresight(np.zeros((2, 2)), 10**9)
    simulated._receive_foresights(10**9)
    assert loop.begin(10**9 + 800_000_000) is not None
    assert loop.begin(10**9 + 800_000_001) is None


def test_controller_periods_must_fit_the_control_step():
    with pytest.raises(DialError, match="must divide the control step"):
        play(ClimbingChunks(), controller_period_s=0.03)


@pytest.mark.parametrize("strategy", ["replace", "ensemble"])
def test_played_directly_row_k_is_the_command_of_the_kth_step_after_its_image(strategy):
    class Numbered(ClimbingChunks):
        """Row k of chunk n asks every joint for n + k / 100 [rad]: no limit would let that pass."""

        def chunk(self, images, foresight, state, committed=None, base=None):
            self.calls.append(base)
            rows = len(self.calls) + np.arange(16)[:, None] / 100
            return np.concatenate([np.zeros((16, 18)), np.tile(rows, (1, 29))], 1).astype(np.float32)

    system1, base = Numbered(), np.eye(4)
    playing = DirectPlaying(GR1.joint_slice, 0.05, strategy)
    loop = PolicyLoop(system1, GR1, gate_of(system1.contract, np.inf), playing.plan)
    simulated = SimulatedLoop(loop, playing, Timing(0.05, 8, 8, 0.0, 0.0, controller_period_s=0.05))
    simulated.begin(HOME)
    rows = []
    for _ in range(16):
        foresight = np.zeros((2, 2), np.float32) if simulated.foresight_due else None
        (row,) = simulated.step(foresight, lambda: (np.zeros((96, 96, 3), np.uint8),), HOME, base)
        rows.append(row[0])
    first, second = 1 + np.arange(8) / 100, 2 + np.arange(8) / 100
    overlapping = 1 + np.arange(8, 16) / 100
    expected = np.concatenate([first, second if strategy == "replace" else (second + overlapping) / 2])
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert all(given is base for given in system1.calls)
    assert simulated.ages_s == [0.0, 0.0]


def test_after_a_change_of_instruction_no_chunk_is_made_of_an_earlier_foresight():
    system1 = ClimbingChunks()
    plan = MotionPlan(GR1.joint_slice, 0.05, Guard.for_embodiment(GR1), 0.05, "ensemble")
    loop = PolicyLoop(system1, GR1, gate_of(system1.contract, np.inf), plan)
    simulated = SimulatedLoop(loop, PlannedPlaying(plan, EmulatedControllers(GR1)), Timing(foresight_steps=8, foresight_delay_s=0.15))
    simulated.begin(HOME)
    for step in range(20):
        if step == 7:  # in the middle between two foresights
            simulated.change_instruction()
            assert simulated.foresight_due
        new = 1.0 if step >= 7 else 0.0
        tokens = np.full((2, 2), new, np.float32) if simulated.foresight_due else None
        before = len(system1.calls)
        simulated.step(tokens, lambda: (np.zeros((96, 96, 3), np.uint8),), HOME)
        assert all(used == new for used, _ in system1.calls[before:])
    assert system1.calls[-1][0] == 1.0


def test_at_a_change_of_instruction_the_robot_comes_to_rest_and_keeps_nothing_of_the_chunks_before():
    system1 = ClimbingChunks(asks=0.3)
    plan = MotionPlan(GR1.joint_slice, 0.05, Guard.for_embodiment(GR1), 0.05, "ensemble")
    loop = PolicyLoop(system1, GR1, gate_of(system1.contract, np.inf), plan)
    simulated = SimulatedLoop(loop, PlannedPlaying(plan, EmulatedControllers(GR1)), Timing())
    simulated.begin(HOME)
    rows = []
    for step in range(28):
        if step == 8:
            simulated.change_instruction()
        due = simulated.foresight_due and not 8 <= step < 24  # the new instruction's first foresight takes its time
        rows.extend(simulated.step(np.zeros((2, 2), np.float32) if due else None, lambda: (np.zeros((96, 96, 3), np.uint8),), HOME))
    velocity = np.abs(np.diff(np.array(rows), axis=0)).max(1) / 0.01
    assert velocity[30:40].max() > 0.1, "it moved"
    assert velocity[70:115].max() < 1e-9, "and came to rest"


def test_where_chunks_are_the_commands_a_change_of_instruction_keeps_none_of_the_earlier_ones():
    class Numbered:
        contract, calls = StubContract(), 0

        def chunk(self, images, foresight, state, committed=None, base=None):
            self.calls += 1
            return np.full((16, 47), self.calls, np.float32)

    system1, playing = Numbered(), DirectPlaying(GR1.joint_slice, 0.05, "ensemble")
    loop = PolicyLoop(system1, GR1, gate_of(system1.contract, np.inf), playing.plan)
    simulated = SimulatedLoop(loop, playing, Timing(0.05, 4, 4, 0.0, 0.0, controller_period_s=0.05))
    simulated.begin(HOME)
    rows = []
    for step in range(8):
        if step == 4:
            simulated.change_instruction()
        foresight = np.zeros((2, 2), np.float32) if simulated.foresight_due else None
        rows.extend(simulated.step(foresight, lambda: (np.zeros((96, 96, 3), np.uint8),), HOME))
    np.testing.assert_allclose([row[0] for row in rows], [1.0] * 4 + [2.0] * 4)
