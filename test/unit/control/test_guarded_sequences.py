"""System-1's plan before the guard, controllers at 1 kHz behind it, and trajectories that come late, each controller's by another time.

Set-points keep every limit, and the guard never waits for `guard/reset`: System-1 computes rightly, however late its trajectories are.
`DIAL_SEQUENCES=100` plays that many sequences.
"""

import contextlib
import os
from types import SimpleNamespace

import numpy as np
import pytest

from dial_core.control.arming import State
from dial_core.control.joint_trajectory_controller import TrajectoryRejectedError, TrajectoryRequest
from dial_core.control.motion import NANOSECONDS
from dial_core.control.send_conditions import SpliceMissedError
from dial_core.control.splice import ChunkTooLateError
from dial_core.control.trajectory_checks import Tolerances
from dial_core.control.trajectory_guard import TrajectoryGuard

from .sequence_robot import CONTROLLERS, GUARD, HOME, HORIZON, JOINTS, JOINTS_NS, MS, STEP_S, SequenceRobot, SequenceSystem1

TOLERANCES = Tolerances(period_s=0.001, transport_s=0.03)
TRANSPORT_MS = 30  # from the guard to a controller
EMBODIMENT = SimpleNamespace(
    joint_names=JOINTS,
    controllers=CONTROLLERS,
    fingers=np.array([False, False, True]),
    indices=lambda joints: np.array([JOINTS.index(name) for name in joints]),
)
SEQUENCES = int(os.environ.get("DIAL_SEQUENCES", "4"))


class GuardedSystem1(SequenceSystem1):
    """A System-1 whose trajectories reach the guard up to `late_ms` late, each controller's by itself."""

    def __init__(self, seed):
        super().__init__("ensemble", True, seed)
        self.guard, self.late_ms = TrajectoryGuard(EMBODIMENT, GUARD, TOLERANCES), 0
        self._to_guard, self._to_controllers, self._arrives_ns = [], [], {}
        self.arming.activate(self.own_ns)

    def prepare(self, motion, without=()):
        def publish():
            for controller in CONTROLLERS:
                late_ns = int(self.rng.integers(0, self.late_ms + 10)) * MS
                self._to_guard.append(
                    (self.robot.now_ns + late_ns, controller.name, request(controller, motion, SequenceRobot.columns(controller)))
                )

        return publish

    def tick(self):
        for name, trajectory in self._due(self._to_guard):
            stopped = self.guard.breach is not None
            if self.guard.offer(name, trajectory, self._now):
                self._pass_on(name, trajectory)
            elif not stopped:
                self._hold(self.guard.holds(self._now))
        for name, trajectory in self._due(self._to_controllers):
            k = [controller.name for controller in CONTROLLERS].index(name)
            with contextlib.suppress(TrajectoryRejectedError):
                self.robot.controllers[k].accept(trajectory, self.robot.now_ns)
        super().tick()
        if self.steady_ns % JOINTS_NS == 0:
            self.guard.note_joints(self.robot.now_ns - 2 * MS, self.robot.history[-1])
            self._hold(self.guard.owed_holds(self._now))
            for name, _, position in self.robot.reports():
                if not self.guard.knows(name):
                    self.guard.note_reference(name, self.robot.now_ns, position)

    def send(self, stamp_ns, measured, epoch, instruction_id):
        if epoch != self.epoch or self.arming.state is not State.RUNNING or instruction_id != self.arming.instruction_id:
            return
        times_s = self.steady_ns / NANOSECONDS + STEP_S * np.arange(1, HORIZON + 1)[:, None]
        chunk = HOME + 1.6 * np.sin(3.0 * times_s + np.arange(len(JOINTS))) + self.rng.normal(0, 0.3, len(JOINTS))  # beyond the limits too
        with contextlib.suppress(SpliceMissedError, ChunkTooLateError):
            self.plan.follow(chunk.astype(np.float32), stamp_ns, measured, self)

    def _now(self):
        return self.robot.now_ns

    def _due(self, queue):
        due = [message for message in queue if message[0] <= self.robot.now_ns]
        queue[:] = [message for message in queue if message[0] > self.robot.now_ns]
        return [message[1:] for message in due]

    def _hold(self, holds):
        for name, motion in holds:
            self._pass_on(name, request(next(c for c in CONTROLLERS if c.name == name), motion, slice(None)))

    def _pass_on(self, name, trajectory):
        arrives_ns = self.robot.now_ns + int(self.rng.integers(0, TRANSPORT_MS)) * MS
        self._arrives_ns[name] = max(arrives_ns, self._arrives_ns.get(name, 0))
        self._to_controllers.append((self._arrives_ns[name], name, trajectory))


def request(controller, motion, columns):
    times_ns = tuple(round(time_s * NANOSECONDS) for time_s in motion.times_s)
    rows = (tuple(map(tuple, part[:, columns].tolist())) for part in (motion.positions, motion.velocities))
    return TrajectoryRequest(controller.joints, motion.origin_ns, times_ns, *rows)


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_late_trajectories_neither_break_a_limit_nor_keep_the_guard_stopped(seed):
    system1, instructions = GuardedSystem1(seed), 0
    late_ms = system1.rng.permutation([0, 60, 120, 200])  # not 200 all the time, where it rests more than it moves
    for tick in range(9000):
        if tick % 3000 == 0:
            system1.late_ms = int(late_ms[tick // 3000])
        if system1.arming.state is State.DISARMED and tick % 200 == 0:
            instructions += 1
            system1.supervisor.instruct(str(instructions), system1.robot.now_ns)
        system1.tick()
        assert not system1.guard.latched, str(system1.guard.breach)
    assert system1.robot.outside <= 1e-5
    assert system1.robot.worst <= 1.02
    assert system1.guard.passed > 30
