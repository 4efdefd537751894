"""How smooth the commanded motion is, strategy by strategy, and whether the task still succeeds.

The policy loop on the simulated robot (`inference.simulated_loop`), with the set-points of its controllers kept. `plain` is the
yardstick: each chunk is played as it arrives, in straight lines from target to target, and the next one hard-replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.config import validate
from dial_core.control.joint_limits import Clamps, Guard
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.motion_plan import SPLICE_LEAD_S, MotionPlan, Outlet, Sent
from dial_core.control.overlap import Committed
from dial_core.evaluation.closed_loop.arena import TabletopArena
from dial_core.evaluation.closed_loop.dial_policy import image_px_of, planned_playing, timing_of
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import HOLD_STEPS, Protocol
from dial_core.evaluation.closed_loop.rollout import Verdicts
from dial_core.inference.policy_loop import ChunkPlan, PolicyLoop, gate_of
from dial_core.inference.simulated_loop import START_NS, PlannedPlaying, Playing, SimulatedLoop
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.observation.camera_view import CameraView, fit_view
from dial_core.robot.embodiment import Embodiment, load_embodiment

PLAIN = "plain"
# What "continuous" means at a splice: old and new motion together until it, and a microsecond after it.
POSITION_BOUND_RAD, VELOCITY_BOUND_RAD_S = 1e-5, 1e-3
LOOKS = 6  # at old and new motion between now and the splice
JUST_AFTER_NS = 1000


@dataclass(frozen=True)
class SmoothnessJob:
    """One episode with one strategy.

    Attributes:
        latency_s: from a frame to its chunk, and rounded to control steps from a frame to its foresight [s].
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


class WatchedPlan:
    """A MotionPlan that notes how far old and new motion differ at each splice."""

    def __init__(self, plan: MotionPlan) -> None:
        self._plan = plan
        self.gaps: list[tuple[float, float]] = []  # largest differences of position and velocity [rad, rad/s]

    def committed(self, stamp_ns: int) -> Committed | None:
        """See `MotionPlan.committed`."""
        return self._plan.committed(stamp_ns)

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, outlet: Outlet) -> Sent:
        """See `MotionPlan.follow`."""
        old = self._plan.running
        sent = self._plan.follow(chunk, stamp_ns, measured, outlet)
        new = self._plan.running
        if old is not None and new is not None:
            moments = np.linspace(sent.sent_ns, sent.takes_over_ns, LOOKS + 1).astype(int).tolist()
            moments.append(sent.takes_over_ns + JUST_AFTER_NS)
            both = np.array([[motion.sample(moment) for moment in moments] for motion in (old, new)])
            position, velocity = np.abs(both[1] - both[0]).max(axis=(0, 2))
            self.gaps.append((float(position), float(velocity)))
        return sent


class PlainReplacing:
    """The yardstick, plan and controllers in one: no splice, no limits, straight lines."""

    def __init__(self, joints: slice, step_s: float) -> None:
        self._joints, self._step_s = joints, step_s
        self.gaps: list[tuple[float, float]] = []
        self._set_points = np.zeros(0)
        self._targets: np.ndarray | None = None
        self._now_ns = self._stamp_ns = START_NS

    @property
    def plan(self) -> ChunkPlan:
        """Itself."""
        return self

    def hold(self, set_points: np.ndarray) -> None:
        """A new episode: the robot stands at `set_points` (J,) [rad]."""
        self._set_points, self._targets, self._now_ns = set_points, None, START_NS

    def drop(self) -> None:
        """Nothing: of earlier chunks nothing is kept."""

    def committed(self, stamp_ns: int) -> Committed | None:
        """None: every chunk is free."""
        return None

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, outlet: Outlet) -> Sent:
        """The chunk replaces what runs, at once."""
        old = [self._at(self._now_ns + after) for after in (0, JUST_AFTER_NS)] if self._targets is not None else []
        self._targets, self._stamp_ns = np.concatenate([measured[None], chunk[:, self._joints]]), stamp_ns
        if old:
            new = [self._at(self._now_ns + after) for after in (0, JUST_AFTER_NS)]
            position, velocity = np.abs(np.array(new) - np.array(old)).max(axis=(0, 2))
            self.gaps.append((float(position), float(velocity)))
        return Sent(self._now_ns, self._now_ns, Clamps())

    def now_ns(self) -> int:
        """The simulated clock [ns]."""
        return self._now_ns

    def prepare(self, motion: JointMotion, without: Collection[str] = ()) -> Callable[[], None]:
        """Nothing: there is no motion to send."""
        return lambda: None

    def sample(self, time_ns: int) -> np.ndarray:
        """Set-points (J,) [rad] at `time_ns`."""
        self._now_ns = time_ns
        return self._set_points if self._targets is None else self._at(time_ns)[0]

    def _at(self, time_ns: int) -> tuple[np.ndarray, np.ndarray]:
        assert self._targets is not None
        row = np.clip((time_ns - self._stamp_ns) / NANOSECONDS / self._step_s, 0, len(self._targets) - 1)
        before = min(int(row), len(self._targets) - 2)
        slope = self._targets[before + 1] - self._targets[before]
        return self._targets[before] + (row - before) * slope, slope / self._step_s


_kept: dict[tuple[Path, str], tuple[TabletopArena, System2Session, System1Session]] = {}


def run_smoothness(job: SmoothnessJob) -> SmoothnessResult:
    """One episode until success has lasted, or the task's last step."""
    arena, system2, system1 = _sessions(job)
    arena.reset(job.seed)
    protocol = protocol_of(job, arena.embodiment)
    playing, watched = playing_of(job, protocol, arena.embodiment)
    loop = PolicyLoop(system1, arena.embodiment, gate_of(system1.contract, np.inf), watched)
    simulated = SimulatedLoop(loop, playing, timing_of(protocol, arena.embodiment))
    simulated.begin(arena.set_points)
    view = system1.contract.views[0]
    commands: list[np.ndarray] = []
    verdicts = Verdicts(HOLD_STEPS)
    while not verdicts.success and verdicts.count < arena.max_steps:
        seen = arena.observe(simulated.foresight_due or simulated.chunk_due)
        foresight = system2.foresight(fit_view(seen.image, view), arena.instruction) if simulated.foresight_due else None
        set_points = simulated.step(foresight, partial(_seen, seen.image, view), seen.joints)
        commands.extend(set_points)
        verdicts.add(verdicts.count + 1, arena.advance(set_points))
    figures = figures_of(np.array(commands), protocol.controller_period_s, Guard.for_embodiment(arena.embodiment))
    return SmoothnessResult(
        strategy=job.strategy,
        seed=job.seed,
        success=verdicts.success,
        position_step=max((gap[0] for gap in watched.gaps), default=0.0),
        velocity_step=max((gap[1] for gap in watched.gaps), default=0.0),
        splices=len(watched.gaps),
        clamped=simulated.clamped,
        **figures,
    )


def _seen(image: np.ndarray, view: CameraView) -> tuple[np.ndarray, ...]:
    return (fit_view(image, view),)


def protocol_of(job: SmoothnessJob, embodiment: Embodiment) -> Protocol:
    """The timing of an episode: chunks and foresights as the ROS loop has them, both late by the job's latency."""
    return Protocol(
        tasks=(job.task,),
        strategy="replace" if job.strategy == PLAIN else job.strategy,  # type: ignore[arg-type]  # checked by pydantic
        system1_delay_s=job.latency_s,
        system2_delay_steps=round(job.latency_s * embodiment.rate_hz),
        splice_lead_s=job.lead_s,
    )


def protocol_of_all(checkpoint: Path, task: str, episodes: int, seed: int, latency_s: float, lead_s: float) -> Protocol:
    """What all strategies of one comparison share, with the checkpoint's id; `strategy` is left as it is by default.

    Raises:
        DialError: there is no checkpoint, or none that an evaluation can run.
    """
    shared = protocol_of(SmoothnessJob(checkpoint, task, "ensemble", seed, latency_s, lead_s), load_embodiment())
    protocol = validate(Protocol, shared.model_dump() | {"episodes": episodes, "seed": seed}, source="dial smoothness")
    return protocol.model_copy(update=PolicySource("checkpoint", str(checkpoint)).facts(protocol))


def playing_of(job: SmoothnessJob, protocol: Protocol, embodiment: Embodiment) -> tuple[Playing, WatchedPlan | PlainReplacing]:
    """Plan and controllers of a strategy, and the plan as the loop calls it, which notes the gaps."""
    if job.strategy == PLAIN:
        plain = PlainReplacing(embodiment.joint_slice, 1.0 / embodiment.rate_hz)
        return plain, plain
    playing = planned_playing(protocol, embodiment)
    assert isinstance(playing, PlannedPlaying)
    return playing, WatchedPlan(playing.plan)


def figures_of(commands: np.ndarray, period_s: float, guard: Guard) -> dict[str, float]:
    """Jerk and largest share of an acceleration limit of set-points (T, J) [rad], one every `period_s`."""
    jerk = np.diff(commands, n=3, axis=0) / period_s**3
    acceleration = np.abs(np.diff(commands, n=2, axis=0)) / period_s**2 / guard.acceleration
    return {"jerk": float(np.sqrt(np.mean(jerk**2))), "acceleration_share": float(acceleration.max())}


def _sessions(job: SmoothnessJob) -> tuple[TabletopArena, System2Session, System1Session]:
    key = (job.checkpoint, job.task)
    if key not in _kept:
        _kept.clear()
        loaded = load_checkpoint(job.checkpoint)
        arena = TabletopArena(job.task, image_px=image_px_of(loaded.contract))
        _kept[key] = (arena, System2Session(loaded), System1Session(loaded))
    return _kept[key]
