"""The policy loop on a simulated robot without ROS: the robot's timing in lockstep with the simulated clock.

A camera frame every control step; a foresight and a chunk begin where they are due and arrive late, as they do on the robot; the
plan splices and limits; emulated trajectory controllers play what was sent, and look at it every `controller_period_s`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dial_core.control.emulated_controllers import EmulatedControllers
from dial_core.control.foresight_gate import Foresight
from dial_core.control.joint_limits import Clamps
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.motion_plan import MotionPlan, Outlet, Sent
from dial_core.control.overlap import Committed, make_overlap
from dial_core.control.send_conditions import SpliceMissedError
from dial_core.control.splice import ChunkTooLateError
from dial_core.errors import DialError
from dial_core.inference.policy_loop import ChunkPlan, PolicyLoop

START_NS = NANOSECONDS  # the simulated clock at the first frame: a stamp of 0 means "whenever it arrives" to a controller
EPISODE = "episode"  # the one instruction id of a run


@dataclass(frozen=True)
class Timing:
    """When things happen [s], in whole controller periods.

    Attributes:
        step_s: from one camera frame to the next.
        chunk_steps, foresight_steps: frames from one chunk, and from one foresight, to the next.
        chunk_delay_s, foresight_delay_s: from a frame to the moment its chunk is sent, and its foresight arrives.
        controller_period_s: between two updates of the controllers.
    """

    step_s: float = 0.05
    chunk_steps: int = 3
    foresight_steps: int = 5
    chunk_delay_s: float = 0.07
    foresight_delay_s: float = 0.05
    controller_period_s: float = 0.01

    @property
    def slices(self) -> int:
        """Controller periods in a control step."""
        count = round(self.step_s / self.controller_period_s)
        if count < 1 or abs(count * self.controller_period_s - self.step_s) > 1e-9:
            raise DialError(f"controller period {self.controller_period_s} s: must divide the control step of {self.step_s} s")
        return count


class Playing(Protocol):
    """The plan, and the controllers that play what it sends."""

    @property
    def plan(self) -> ChunkPlan: ...

    def hold(self, set_points: np.ndarray) -> None:
        """Starts a new episode with the robot at `set_points` (J,) [rad]."""

    def drop(self) -> None:
        """A new instruction: what earlier chunks intended ends."""

    def now_ns(self) -> int: ...

    def prepare(self, motion: JointMotion, without: Collection[str] = ()) -> Callable[[], None]: ...

    def sample(self, time_ns: int) -> np.ndarray:
        """Set-points (J,) [rad] at `time_ns`, which is the controllers' time from then on."""


class PlannedPlaying:
    """The robot's own: a MotionPlan and the emulated controllers. What it prepares is ready at once."""

    def __init__(self, plan: MotionPlan, controllers: EmulatedControllers) -> None:
        self.plan = plan  # the loop may call it through another that watches it
        self._controllers, self._now_ns = controllers, START_NS

    def hold(self, set_points: np.ndarray) -> None:
        """Starts a new episode with the robot at `set_points` (J,) [rad]."""
        self.plan.reset()
        self._controllers.hold(set_points)
        self._now_ns = START_NS
        self._controllers.sample(START_NS)

    def drop(self) -> None:
        """Decelerates, as the node does at a new instruction; the next chunk begins from rest, or from what is left of the motion."""
        self.plan.hold(self)

    def now_ns(self) -> int:
        """The simulated clock [ns]."""
        return self._now_ns

    def prepare(self, motion: JointMotion, without: Collection[str] = ()) -> Callable[[], None]:
        """Makes the controllers' trajectories; the returned function sends them."""
        requests = {name: request for name, request in self._controllers.requests(motion).items() if name not in without}
        return lambda: self._controllers.accept(requests, self._now_ns)

    def sample(self, time_ns: int) -> np.ndarray:
        """Set-points (J,) [rad] at `time_ns`."""
        self._now_ns = time_ns
        return self._controllers.sample(time_ns)


class DirectPlaying:
    """The rows of a chunk are the commands: no splice, no limits, no controllers. Benchmarks run policies this way.

    It is its own plan: a chunk takes over at its observation, and row k is commanded until k + 1 steps after it.
    """

    def __init__(self, joints: slice, step_s: float, strategy: str) -> None:
        """`joints`: their columns in an action; `step_s` [s] between rows; `strategy`: see `control.overlap`."""
        self._joints, self._step_s, self._overlap = joints, step_s, make_overlap(strategy, step_s)
        self.hold(np.zeros(0))

    @property
    def plan(self) -> ChunkPlan:
        """Returns this object: it is its own plan."""
        return self

    def hold(self, set_points: np.ndarray) -> None:
        """A new episode: `set_points` (J,) [rad] are commanded until the first chunk."""
        self._overlap.reset()
        self._rows, self._stamp_ns, self._now_ns = set_points[None], START_NS, START_NS

    def drop(self) -> None:
        """Averages no earlier chunk into the next one; until then the last rows are commanded."""
        self._overlap.reset()

    def now_ns(self) -> int:
        """The simulated clock [ns]."""
        return self._now_ns

    def prepare(self, motion: JointMotion, without: Collection[str] = ()) -> Callable[[], None]:
        """Nothing: chunks are commanded as they are."""
        return lambda: None

    def committed(self, stamp_ns: int) -> Committed | None:
        """What the chunk of the observation at `stamp_ns` must agree with."""
        return self._overlap.committed(stamp_ns, 0.0)

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, outlet: Outlet) -> Sent:
        """Commands the chunk (H, A) from its observation on."""
        self._rows, self._stamp_ns = self._overlap.targets(stamp_ns, chunk, stamp_ns)[:, self._joints], stamp_ns
        return Sent(stamp_ns, stamp_ns, Clamps())

    def sample(self, time_ns: int) -> np.ndarray:
        """The row (J,) [rad] commanded up to `time_ns`; the last one after the chunk's end."""
        self._now_ns = time_ns
        row = round((time_ns - self._stamp_ns) / NANOSECONDS / self._step_s) - 1
        return self._rows[min(max(row, 0), len(self._rows) - 1)].astype(np.float64)


@dataclass(frozen=True)
class _Coming:
    """A chunk that is being computed: when [ns] it is ready, and its observation."""

    arrival_ns: int
    stamp_ns: int
    chunk: np.ndarray
    joints: np.ndarray


class SimulatedLoop:
    """One policy loop over one episode after another."""

    def __init__(self, loop: PolicyLoop, playing: Playing, timing: Timing) -> None:
        self.timing = timing
        self._loop, self._playing = loop, playing
        self.begin(np.zeros(0))

    def begin(self, set_points: np.ndarray) -> None:
        """A new episode with the robot at `set_points` (J,) [rad]."""
        self._step = self._seq = self.clamped = self.dropped = 0
        self._foresights: list[tuple[int, Foresight]] = []  # on their way, by time of arrival [ns]
        self._coming: _Coming | None = None
        self._foresight_owed = False
        self.ages_s: list[float] = []  # of the foresight at the observation of every chunk
        self._loop.gate.clear()
        if set_points.size:
            self._playing.hold(set_points)

    def change_instruction(self) -> None:
        """Changes the instruction from the next step on, whose frame starts a foresight; earlier foresights and chunks are dropped."""
        self._loop.gate.clear()
        self._playing.drop()
        self._foresights, self._coming, self._foresight_owed = [], None, True

    @property
    def foresight_due(self) -> bool:
        """Whether the next step's frame starts a foresight."""
        return self._foresight_owed or self._step % self.timing.foresight_steps == 0

    @property
    def chunk_due(self) -> bool:
        """Whether the next step's frame starts a chunk: one is due, and none is being computed."""
        return self._step % self.timing.chunk_steps == 0 and self._coming is None

    def step(
        self,
        foresight: np.ndarray | None,
        see: Callable[[], tuple[np.ndarray, ...]],
        joints: np.ndarray,
        base: np.ndarray | None = None,
    ) -> np.ndarray:
        """Runs one control step.

        Args:
            foresight: (N, d) of this step's frame, where one begins (`foresight_due`); None otherwise.
            see: images of the frame, fitted to the model; called where a chunk begins.
            joints: measured at the frame (J,) [rad].
            base: pose of the robot's base in the world (4, 4), where the simulation reports it.

        Returns:
            Set-points (K, J) [rad], one at the end of every controller period of the step.
        """
        frame_ns = START_NS + round(self._step * self.timing.step_s * NANOSECONDS)
        if foresight is not None:
            self._foresight_owed = False
            self._send_foresight(foresight, frame_ns)
        self._receive_foresights(frame_ns)
        if self.chunk_due:
            self._begin_chunk(see, joints, frame_ns, base)
        set_points = []
        for k in range(self.timing.slices):
            now_ns = frame_ns + round(k * self.timing.controller_period_s * NANOSECONDS)
            self._receive_foresights(now_ns)
            self._receive_chunk(now_ns)
            set_points.append(self._playing.sample(now_ns + round(self.timing.controller_period_s * NANOSECONDS)))
        self._step += 1
        return np.array(set_points)

    def _send_foresight(self, tokens: np.ndarray, frame_ns: int) -> None:
        contract = self._loop.gate.contract
        tokens = np.asarray(tokens, np.float32)
        foresight = Foresight(tokens, tokens.shape, contract.dtype, frame_ns, self._seq, EPISODE, contract.model_id)
        # The first one of an episode is waited for: System-1 does not start without.
        delay_s = self.timing.foresight_delay_s if self._seq else 0.0
        self._foresights.append((frame_ns + round(delay_s * NANOSECONDS), foresight))
        self._seq += 1

    def _receive_foresights(self, now_ns: int) -> None:
        while self._foresights and self._foresights[0][0] <= now_ns:
            self._loop.gate.offer(self._foresights.pop(0)[1], EPISODE, now_ns)

    def _begin_chunk(self, see: Callable[[], tuple[np.ndarray, ...]], joints: np.ndarray, frame_ns: int, base: np.ndarray | None) -> None:
        inputs = self._loop.begin(frame_ns)
        if inputs is None:
            return
        self.ages_s.append((frame_ns - inputs.foresight.stamp_ns) / NANOSECONDS)
        chunk = self._loop.compute(inputs, see(), joints, frame_ns, base)
        self._coming = _Coming(frame_ns + round(self.timing.chunk_delay_s * NANOSECONDS), frame_ns, chunk, joints)

    def _receive_chunk(self, now_ns: int) -> None:
        if self._coming is None or self._coming.arrival_ns > now_ns:
            return
        coming, self._coming = self._coming, None
        try:
            sent = self._loop.follow(coming.chunk, coming.stamp_ns, coming.joints, self._playing)
        except (ChunkTooLateError, SpliceMissedError):
            self.dropped += 1
            return
        self.clamped += sent.clamps.total()
