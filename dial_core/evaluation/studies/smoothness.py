"""How smooth the commanded motion is, strategy by strategy, and whether the task still succeeds: the robot's timing without ROS.

The plan is the nodes' own (`runtime.plan`): a frame at 20 Hz, a chunk every third one that arrives late by its latency, a
foresight four times a second, controllers that look at the motion every 10 ms. `plain` is the yardstick: each chunk is
played as it comes, in straight lines from target to target, and the next one hard-replaces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import numpy as np

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.control.joint_limits import Guard
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.motion_plan import SPLICE_LEAD_S, MotionPlan
from dial_core.control.overlap import Committed
from dial_core.evaluation.closed_loop.protocol import HOLD_STEPS
from dial_core.inference.sessions import System1Session, System2Session
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.world import World

SLICE_S = 0.01  # the controllers' update period
STEP_SLICES = 5  # of 10 ms, a frame
CHUNK_STEPS, FORESIGHT_STEPS = 3, 5  # frames a chunk and a foresight: 6.7 Hz and 4 Hz
PLAIN = "plain"
# What "continuous" means at a splice: old and new motion together until it, and a microsecond after it.
POSITION_BOUND_RAD, VELOCITY_BOUND_RAD_S = 1e-5, 1e-3
LOOKS = 6  # at old and new motion between now and the splice
JUST_AFTER_NS = 1000


@dataclass(frozen=True)
class SmoothnessJob:
    """One episode with one strategy.

    Attributes:
        latency_s: from a frame to its chunk, and from a frame to its foresight [s].
        lead_s: from a chunk to the moment it takes over [s].
    """

    checkpoint: Path
    task: str
    strategy: str
    seed: int
    latency_s: float
    lead_s: float = SPLICE_LEAD_S


@dataclass(frozen=True)
class SmoothnessResult:
    """How one episode went.

    Attributes:
        jerk: root mean square over time and joints of the commanded positions' third difference [rad/s^3].
        position_step, velocity_step: largest differences between old and new motion from the new one's arrival to just after
            its splice [rad, rad/s].
        acceleration_share: largest commanded acceleration as a share of its limit [1].
        splices: motions that replaced a running one [1].
        clamped: targets that a limit moved [1].
    """

    strategy: str
    seed: int
    success: bool
    jerk: float
    position_step: float
    velocity_step: float
    acceleration_share: float
    splices: int
    clamped: int


class Follower(Interface):
    """What turns chunks into set-points. `clamped`: targets that a limit moved [1]; `lead_ns`: from a chunk to its rule [ns]."""

    clamped: int
    lead_ns: int

    def committed(self, stamp_ns: int) -> Committed | None:
        """What the chunk of an observation must agree with."""

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> None:
        """A chunk (H, A) arrives."""

    def sample(self, time_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Position and velocity (J,) commanded at a time; None before the first chunk."""


class Planned:
    """The nodes' plan, with counts, and its outlet: what is sent is there at once, preparing it is part of the latency."""

    def __init__(self, joints: slice, step_s: float, guard: Guard, strategy: str, lead_s: float = SPLICE_LEAD_S) -> None:
        self._plan = MotionPlan(joints, step_s, guard, lead_s, strategy)
        self.lead_ns = round(lead_s * NANOSECONDS)
        self._now_ns = self.clamped = 0

    def committed(self, stamp_ns: int) -> Committed | None:
        return self._plan.committed(stamp_ns)

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> None:
        self._now_ns = now_ns
        self.clamped += self._plan.follow(chunk, stamp_ns, measured, self).clamps.total()

    def now_ns(self) -> int:
        return self._now_ns

    def prepare(self, motion: JointMotion) -> Callable[[], None]:
        return lambda: None

    def sample(self, time_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
        return None if self._plan.running is None else self._plan.running.sample(time_ns)


class PlainReplacing:
    """The yardstick: no splice, no limits, straight lines."""

    clamped = lead_ns = 0

    def __init__(self, joints: slice, step_s: float) -> None:
        self._joints, self._step_s = joints, step_s
        self._targets: np.ndarray | None = None
        self._stamp_ns = 0

    def committed(self, stamp_ns: int) -> Committed | None:
        return None

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> None:
        self._targets, self._stamp_ns = np.concatenate([measured[None], chunk[:, self._joints]]), stamp_ns

    def sample(self, time_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
        if self._targets is None:
            return None
        row = np.clip((time_ns - self._stamp_ns) / NANOSECONDS / self._step_s, 0, len(self._targets) - 1)
        before = min(int(row), len(self._targets) - 2)
        slope = self._targets[before + 1] - self._targets[before]
        return self._targets[before] + (row - before) * slope, slope / self._step_s


class LatePolicy:
    """Both systems with the robot's timing: what a frame gives arrives `latency_s` after it."""

    def __init__(self, world: World, system2: System2Session, system1: System1Session, follower: Follower, latency_s: float) -> None:
        self._world, self._system2, self._system1, self._follower = world, system2, system1, follower
        self._kinematics, self._late_ns = ForwardKinematics(world.embodiment), round(latency_s * NANOSECONDS)
        self._foresights: list[tuple[int, np.ndarray]] = []  # time of arrival [ns] and foresight, oldest first
        self._coming: tuple[int, int, np.ndarray, np.ndarray] | None = None  # arrival, stamp [ns], chunk, measured joints
        self.gaps: list[tuple[float, float]] = []  # largest steps of position and velocity at each splice

    def arrive(self, now_ns: int) -> None:
        """Goes over to the chunk that has arrived, if one has."""
        if self._coming is None or self._coming[0] > now_ns:
            return
        _, stamp_ns, chunk, measured = self._coming
        self._coming = None
        moments = [now_ns + self._follower.lead_ns * k // LOOKS for k in range(LOOKS + 1)]
        moments.append(moments[-1] + JUST_AFTER_NS)
        old = [self._follower.sample(moment) for moment in moments]
        self._follower.follow(chunk, stamp_ns, measured, now_ns)
        new = [self._follower.sample(moment) for moment in moments]
        if None not in (*old, *new):
            position, velocity = np.abs(np.array(new) - np.array(old)).max(axis=(0, 2))
            self.gaps.append((float(position), float(velocity)))

    def look(self, frame: int, now_ns: int) -> None:
        """A camera frame: a foresight and a chunk begin where they are due."""
        foresees, acts = frame % FORESIGHT_STEPS == 0, frame % CHUNK_STEPS == 0 and self._coming is None
        if not foresees and not acts:
            return
        image = self._world.render(self._system1.contract.camera)
        if foresees:
            # The first one is waited for; System-1 does not start without.
            arrival_ns = now_ns + (self._late_ns if self._foresights else 0)
            self._foresights.append((arrival_ns, self._system2.foresight(image, self._world.instruction)))
        if acts:
            foresight = [foresight for arrival_ns, foresight in self._foresights if arrival_ns <= now_ns][-1]
            measured = self._world.joint_positions()
            state, committed = self._kinematics.state(measured), self._follower.committed(now_ns)
            self._coming = now_ns + self._late_ns, now_ns, self._system1.chunk(image, foresight, state, committed), measured


_kept: dict[tuple[Path, str], tuple[World, System2Session, System1Session]] = {}


def run_smoothness(job: SmoothnessJob) -> SmoothnessResult:
    """One episode until success has lasted, or the task's last step."""
    world, system2, system1 = _sessions(job)
    world.reset(job.seed)
    joints, step_s, guard = world.embodiment.joint_slice, 1.0 / world.embodiment.rate_hz, Guard.for_embodiment(world.embodiment)
    follower: Follower = (
        PlainReplacing(joints, step_s) if job.strategy == PLAIN else Planned(joints, step_s, guard, job.strategy, job.lead_s)
    )
    policy = LatePolicy(world, system2, system1, follower, job.latency_s)
    commands: list[np.ndarray] = []
    held = 0
    while held < HOLD_STEPS and len(commands) < world.task.max_steps * STEP_SLICES:
        frame, slice_of_frame = divmod(len(commands), STEP_SLICES)
        now_ns = round(len(commands) * SLICE_S * NANOSECONDS)
        policy.arrive(now_ns)
        if slice_of_frame == 0:
            policy.look(frame, now_ns)
        commanded = follower.sample(now_ns + round(SLICE_S * NANOSECONDS))
        commands.append(world.set_points.copy() if commanded is None else commanded[0])
        world.advance(commands[-1], SLICE_S)
        if slice_of_frame == STEP_SLICES - 1:
            held = held + 1 if world.success() else 0
    return _result(job, held == HOLD_STEPS, np.array(commands), policy.gaps, guard, follower.clamped)


def _result(
    job: SmoothnessJob, success: bool, commands: np.ndarray, gaps: list[tuple[float, float]], guard: Guard, clamped: int
) -> SmoothnessResult:
    """The figures of an episode's `commands` (T, J) [rad], one every SLICE_S."""
    jerk = np.diff(commands, n=3, axis=0) / SLICE_S**3
    acceleration = np.abs(np.diff(commands, n=2, axis=0)) / SLICE_S**2 / guard.acceleration
    return SmoothnessResult(
        strategy=job.strategy,
        seed=job.seed,
        success=success,
        jerk=float(np.sqrt(np.mean(jerk**2))),
        position_step=max((gap[0] for gap in gaps), default=0.0),
        velocity_step=max((gap[1] for gap in gaps), default=0.0),
        acceleration_share=float(acceleration.max()),
        splices=len(gaps),
        clamped=clamped,
    )


def _sessions(job: SmoothnessJob) -> tuple[World, System2Session, System1Session]:
    key = (job.checkpoint, job.task)
    if key not in _kept:
        _kept.clear()
        loaded = load_checkpoint(job.checkpoint)
        _kept[key] = (World(job.task), System2Session(loaded), System1Session(loaded))
    return _kept[key]
