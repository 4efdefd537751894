"""How smooth the commanded motion is, strategy by strategy, and whether the task still succeeds: the robot's timing without ROS.

The plan is the nodes' own (`runtime.plan`): a frame at 20 Hz, a chunk every third one that arrives late by its latency, a
foresight four times a second, controllers that look at the motion every 10 ms. `plain` is the yardstick: each chunk is
played as it comes, in straight lines from target to target, and the next one hard-replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import numpy as np

from dial_core.evaluation.rollout import SUCCESS_STEPS
from dial_core.kinematics import ForwardKinematics
from dial_core.runtime.checkpoint import load_checkpoint
from dial_core.runtime.guard import Guard
from dial_core.runtime.motion import NANOSECONDS
from dial_core.runtime.overlap import Committed
from dial_core.runtime.plan import MotionPlan
from dial_core.runtime.sessions import System1Session, System2Session
from dial_core.sim.world import World

SLICE_S = 0.01  # the controllers' update period
STEP_SLICES = 5  # of 10 ms, a frame
CHUNK_STEPS, FORESIGHT_STEPS = 3, 5  # frames a chunk and a foresight: 6.7 Hz and 4 Hz
LEAD_S = 0.02
PLAIN = "plain"


@dataclass(frozen=True)
class SmoothnessJob:
    """One episode with one strategy; `latency_s`: from a frame to its chunk, and from a frame to its foresight [s]."""

    checkpoint: Path
    task: str
    strategy: str
    seed: int
    latency_s: float


@dataclass(frozen=True)
class SmoothnessResult:
    """How one episode went.

    Attributes:
        jerk: root mean square over time and joints of the commanded positions' third difference [rad/s^3].
        position_step, velocity_step: largest differences between old and new motion at a splice [rad, rad/s].
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
    """What turns chunks into set-points."""

    def committed(self, stamp_ns: int) -> Committed | None:
        """What the chunk of an observation must agree with."""

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> None:
        """A chunk (H, A) arrives."""

    def sample(self, time_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Position and velocity (J,) commanded at a time; None before the first chunk."""


class Planned:
    """The nodes' plan, with counts."""

    def __init__(self, joints: slice, step_s: float, guard: Guard, strategy: str) -> None:
        self._plan = MotionPlan(joints, step_s, guard, LEAD_S, strategy)
        self.clamped = 0

    def committed(self, stamp_ns: int) -> Committed | None:
        return self._plan.committed(stamp_ns)

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> None:
        self.clamped += self._plan.follow(chunk, stamp_ns, measured, now_ns).total()

    def sample(self, time_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
        return None if self._plan.running is None else self._plan.running.sample(time_ns)


class PlainReplacing:
    """The yardstick: no splice, no limits, straight lines."""

    clamped = 0

    def __init__(self, joints: slice, step_s: float) -> None:
        self._joints, self._step_s = joints, step_s
        self._targets, self._stamp_ns = None, 0

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


_kept: dict[tuple[Path, str], tuple[World, System2Session, System1Session]] = {}


def run_smoothness(job: SmoothnessJob) -> SmoothnessResult:
    """One episode until success has lasted, or the task's last step."""
    world, system2, system1 = _sessions(job)
    world.reset(job.seed)
    embodiment, kinematics = world.embodiment, ForwardKinematics(world.embodiment)
    guard, step_s = Guard.for_embodiment(embodiment), 1.0 / embodiment.rate_hz
    joints = embodiment.joint_slice
    follower: Follower = PlainReplacing(joints, step_s) if job.strategy == PLAIN else Planned(joints, step_s, guard, job.strategy)
    late_slices = round(job.latency_s / SLICE_S)
    foresight, coming_foresight, coming_chunk = None, None, None  # the coming ones: (slice of arrival, what arrives)
    commands, gaps, held, time_slice = [], [], 0, 0
    while held < SUCCESS_STEPS and time_slice < world.task.max_steps * STEP_SLICES:
        now_ns = round(time_slice * SLICE_S * NANOSECONDS)
        frame = time_slice // STEP_SLICES if time_slice % STEP_SLICES == 0 else None
        image = world.render(system1.contract.camera) if frame is not None and _looks(frame) else None
        if coming_foresight and coming_foresight[0] <= time_slice:
            foresight, coming_foresight = coming_foresight[1], None
        if frame is not None and frame % FORESIGHT_STEPS == 0:
            coming_foresight = (time_slice + late_slices, system2.foresight(image, world.instruction))
            foresight = coming_foresight[1] if foresight is None else foresight  # the first one is waited for
        if coming_chunk and coming_chunk[0] <= time_slice:
            gaps.append(_follow(follower, *coming_chunk[1:], now_ns))
            coming_chunk = None
        if frame is not None and frame % CHUNK_STEPS == 0 and coming_chunk is None:
            measured = world.joint_positions()
            chunk = system1.chunk(image, foresight, kinematics.state(measured), follower.committed(now_ns))
            coming_chunk = (time_slice + late_slices, chunk, now_ns, measured)
        state = follower.sample(now_ns + round(SLICE_S * NANOSECONDS))
        commands.append(world.set_points.copy() if state is None else state[0])
        world.advance(commands[-1], SLICE_S)
        time_slice += 1
        if time_slice % STEP_SLICES == 0:
            held = held + 1 if world.success() else 0
    return _result(job, held == SUCCESS_STEPS, np.array(commands), [gap for gap in gaps if gap], guard, follower.clamped)


def _looks(frame: int) -> bool:
    return frame % CHUNK_STEPS == 0 or frame % FORESIGHT_STEPS == 0


def _follow(follower: Follower, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> tuple[float, float] | None:
    """Goes over to a chunk; the largest steps of position and velocity where it takes over, None for the first."""
    takes_over_ns = now_ns + round((LEAD_S if isinstance(follower, Planned) else 0.0) * NANOSECONDS)
    old = follower.sample(takes_over_ns)
    follower.follow(chunk, stamp_ns, measured, now_ns)
    new = follower.sample(takes_over_ns)
    return None if old is None or new is None else (float(np.abs(new[0] - old[0]).max()), float(np.abs(new[1] - old[1]).max()))


def _result(job, success, commands, gaps, guard, clamped) -> SmoothnessResult:
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
