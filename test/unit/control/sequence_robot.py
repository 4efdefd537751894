"""A robot and a System-1 for tests of whole sequences: controllers and clocks at 1 kHz, and what the node does, without ROS."""

import contextlib

import numpy as np

from dial_core.control.arming import Arming, Input, State
from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRejectedError, TrajectoryRequest
from dial_core.control.latencies import LONGEST_LEAD_S
from dial_core.control.motion import NANOSECONDS
from dial_core.control.motion_plan import MotionPlan
from dial_core.control.robot_clock import RobotClock
from dial_core.control.send_conditions import SpliceMissedError
from dial_core.control.splice import ChunkTooLateError
from dial_core.control.splice_timing import SOFT_START_S
from dial_core.control.supervisor import MotionSupervisor
from dial_core.robot.embodiment import Controller

MS = 1_000_000
PERIOD_NS = MS  # of the controllers
LEAD_S, STEP_S, HORIZON = 0.05, 0.05, 16
TRANSPORT_MS = 40  # less than the lead and a period
FRAME_NS, CHUNK_NS, JOINTS_NS = 50 * MS, 150 * MS, 10 * MS
PACES_NS = (
    (80 * MS, 20 * MS),
    (8 * MS, 70 * MS),
)  # of inference and reports; with the second the robot has not shown the time of an observation
JOINTS = ("a", "b", "c")
CONTROLLERS = (Controller(name="arm", joints=("a", "b")), Controller(name="hand", joints=("c",)))
GUARD = Guard(np.array([-1.0, -2.0, 0.0]), np.array([1.0, 0.5, 1.7]), np.array([2.0, 3.0, 6.0]), np.array([8.0, 15.0, 40.0]))
HOME = np.array([0.0, -0.5, 0.3])


class SequenceRobot:
    """Clock and controllers. On the system's time a controller counts periods, whatever its clock shows meanwhile."""

    def __init__(self, simulated):
        self.simulated, self.now_ns = simulated, 1000 * NANOSECONDS
        self.controllers = [JointTrajectoryController(c, HOME[self.columns(c)], PERIOD_NS) for c in CONTROLLERS]
        self.played_ns = [self.now_ns] * len(CONTROLLERS)
        self.history = [HOME.copy()]
        self.worst = 0.0  # share of a limit
        self.outside = -np.inf
        self.rests_since = 0  # ticks
        self.deaf_ticks = [0] * len(CONTROLLERS)  # a controller that gets no message
        # From rest the first point lies ahead on purpose, by the lead too, which grows with the measured latency.
        self.ahead_ns = round((SOFT_START_S + LONGEST_LEAD_S) * NANOSECONDS)

    @staticmethod
    def columns(controller):
        return [JOINTS.index(name) for name in controller.joints]

    def tick(self):
        self.now_ns += PERIOD_NS
        positions = np.empty(len(JOINTS))
        for k, controller in enumerate(CONTROLLERS):
            self.played_ns[k] += PERIOD_NS
            self.deaf_ticks[k] = max(self.deaf_ticks[k] - 1, 0)
            positions[self.columns(controller)] = self.controllers[k].sample(self.played_ns[k])
        self.history = [*self.history[-2:], positions]
        self._judge()

    def receive(self, motion, without):
        first_ns = motion.origin_ns + round(motion.times_s[0] * NANOSECONDS)
        assert first_ns <= self.now_ns + self.ahead_ns, f"begins {(first_ns - self.now_ns) / MS:.0f} ms ahead of the robot's clock"
        for k, controller in enumerate(CONTROLLERS):
            if self.deaf_ticks[k] or controller.name in without:
                continue
            index = self.columns(controller)
            request = TrajectoryRequest(
                controller.joints,
                motion.origin_ns,
                tuple(round(time_s * NANOSECONDS) for time_s in motion.times_s),
                tuple(map(tuple, motion.positions[:, index])),
                tuple(map(tuple, motion.velocities[:, index])),
            )
            with contextlib.suppress(TrajectoryRejectedError):
                self.controllers[k].accept(request, self.now_ns)
                self.played_ns[k] = self.now_ns

    def reports(self):
        """Name, origin of what is played and reference of every controller, as controller_state gives them."""
        for k, controller in enumerate(CONTROLLERS):
            emulated = self.controllers[k]
            origin_ns = None if emulated.origin_ns is None else self.now_ns - (self.played_ns[k] - emulated.origin_ns)
            yield controller.name, origin_ns, emulated.command[0]

    def restart_controller(self, k, ticks):
        """It stands where it was commanded to be at once, which is its own step, and gets nothing for a while."""
        self.controllers[k].hold(self.controllers[k].command[0])
        self.deaf_ticks[k], self.history = ticks, []

    def step_clock(self, seconds):
        self.now_ns += round(seconds * NANOSECONDS)
        if self.simulated:
            self.played_ns = [self.now_ns] * len(CONTROLLERS)
            self.history = []  # simulated controllers step with their clock

    def restart(self):
        """A simulated world begins again: at home, at time zero."""
        self.now_ns = 2 * NANOSECONDS
        self.played_ns = [self.now_ns] * len(CONTROLLERS)
        for k, controller in enumerate(CONTROLLERS):
            self.controllers[k].hold(HOME[self.columns(controller)])
        self.history = []

    def _judge(self):
        if len(self.history) < 2:
            return
        velocity = np.diff(self.history[-2:], axis=0)[0] * 1000
        self.rests_since = self.rests_since + 1 if (np.abs(velocity) < 1e-6).all() else 0
        self.worst = max(self.worst, float((np.abs(velocity) / GUARD.velocity).max()))
        self.outside = max(self.outside, float(np.maximum(GUARD.lower - self.history[-1], self.history[-1] - GUARD.upper).max()))
        if len(self.history) == 3:
            bend = np.diff(self.history, n=2, axis=0)[0] * 1e6
            self.worst = max(self.worst, float((np.abs(bend) / GUARD.acceleration).max()))


class SequenceSystem1:
    """What the node does, without ROS: clocks, inputs, chunks after their inference, trajectories after their transport."""

    def __init__(self, strategy, simulated, seed):
        self.robot, self.rng = SequenceRobot(simulated), np.random.default_rng(seed)
        self.own_ahead_ns, self.steady_ns = 0, 77 * NANOSECONDS
        self.clock = RobotClock(simulated)
        self.arming = Arming()
        execution = ExecutedMotion({c.name: SequenceRobot.columns(c) for c in CONTROLLERS}, JOINTS, max_divergence_rad=0.3)
        self.plan = MotionPlan(slice(0, len(JOINTS)), STEP_S, GUARD, LEAD_S, strategy, execution)
        self.supervisor = MotionSupervisor(self.arming, self.plan, self, simulated, self.reset_buffers)
        self.inference_ns, self.reports_ns = PACES_NS[int(self.rng.integers(len(PACES_NS)))]
        self.lost, self.epoch = set(), 0
        self.stamps = {"camera": None, "joint_states": None, "foresight": None}
        self.thinking, self.under_way = [], []  # (due at steady time, ...)
        self.last_chunk_ns, self.reporting, self.naming_origin = 0, True, True

    @property
    def own_ns(self):
        return self.robot.now_ns + self.own_ahead_ns

    # The plan's outlet.

    def now_ns(self):
        return self.clock.robot_ns(self.own_ns, self.steady_ns)

    def prepare(self, motion, without=()):
        delay_ns = int(self.rng.integers(1, TRANSPORT_MS)) * MS
        return lambda: self.under_way.append((max(self.steady_ns + delay_ns, *(sent[0] for sent in self.under_way), 0), motion, without))

    # The node.

    def reset_buffers(self):
        self.epoch += 1
        self.stamps = dict.fromkeys(self.stamps)

    def tick(self):
        self.steady_ns += PERIOD_NS
        for due in [item for item in self.under_way if item[0] <= self.steady_ns]:
            self.under_way.remove(due)
            self.robot.receive(*due[1:])
        self.robot.tick()
        if self.steady_ns % JOINTS_NS == 0 and "joint_states" not in self.lost:
            self.stamps["joint_states"] = self.robot.now_ns - 2 * MS
            self.clock.note_joint_state(self.robot.now_ns - 2 * MS, self.own_ns, self.steady_ns)
            self.supervisor.react(self.clock.take_steps(), self.own_ns)
            if self.robot.history:
                self.plan.execution.note_measured(self.plan.running, self.stamps["joint_states"], self.robot.history[-1])
        if self.steady_ns % self.reports_ns == 0 and self.reporting:
            for name, origin_ns, position in self.robot.reports():
                self.plan.execution.note_reference(name, self.robot.now_ns, origin_ns if self.naming_origin else None, position)
        if self.steady_ns % FRAME_NS == 0:
            self.see()
        for due in [item for item in self.thinking if item[0] <= self.steady_ns]:
            self.thinking.remove(due)
            self.send(*due[1:])

    def see(self):
        stamp_ns = self.robot.now_ns - 5 * MS
        for name in ("camera", "foresight"):
            if name not in self.lost and self.stamps["joint_states"] is not None:
                self.stamps[name] = stamp_ns
        self.now_ns()
        self.supervisor.react(self.clock.take_steps(), self.own_ns)
        ages = {name: None if stamp is None else (self.own_ns - stamp) / NANOSECONDS for name, stamp in self.stamps.items()}
        inputs = {name: Input(age_s, 0.5) for name, age_s in ages.items()}
        inputs["clock"] = Input(None if abs(self.clock.offset_s) > 0.5 else 0.0, 3.0)
        self.supervisor.carry_out(self.arming.update(inputs, self.own_ns))
        robot_ns = self.now_ns()
        if robot_ns is not None and (diverged := self.plan.execution.diverged(self.plan.running, robot_ns)):
            self.supervisor.carry_out(self.arming.diverged("; ".join(diverged.values()), self.own_ns))
        if self.arming.state is State.RUNNING and abs(stamp_ns - self.last_chunk_ns) >= CHUNK_NS and "camera" not in self.lost:
            self.last_chunk_ns = stamp_ns
            self.plan.committed(stamp_ns)
            measured = self.robot.history[-1] + self.rng.normal(0, 0.001, len(JOINTS))
            self.thinking.append((self.steady_ns + self.inference_ns, stamp_ns, measured, self.epoch, self.arming.instruction_id))

    def send(self, stamp_ns, measured, epoch, instruction_id):
        if epoch != self.epoch or self.arming.state is not State.RUNNING or instruction_id != self.arming.instruction_id:
            return
        times_s = self.steady_ns / NANOSECONDS + STEP_S * np.arange(1, HORIZON + 1)[:, None]
        chunk = HOME + 0.8 * np.sin(3.0 * times_s + np.arange(len(JOINTS))) + self.rng.normal(0, 0.3, len(JOINTS))
        with contextlib.suppress(SpliceMissedError, ChunkTooLateError):
            self.plan.follow(chunk.astype(np.float32), stamp_ns, measured, self)
