"""A timeline at the control rate: which frame, state and action stand at each step; idle ends cut, gaps told or cut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dial_core.bags.layout import BagError
from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRejectedError
from dial_core.control.motion import NANOSECONDS
from dial_core.importers.bag.timeline import Command, Timeline
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.kinematics import ForwardKinematics

JITTER_SHARE = 0.2  # of a control period: a frame that comes so much after a step still belongs to it


@dataclass(frozen=True)
class Resampling:
    """How bags become episodes.

    Attributes:
        actions: "commands": where the controllers wanted the joints one step later; "next": where they were measured then.
        gaps: "drop": cut the episode at gaps; "keep": fill them with the last observation and report them.
        max_gap_s: an observation older than this at its step is a gap [s].
        idle_rad_s: joints slower than this stand still [rad/s].
        lead_s, tail_s: what is kept of standing still before and after the motion [s].
        min_length_s: shorter pieces are left out [s].
    """

    actions: str = "commands"
    gaps: str = "drop"
    max_gap_s: float = 0.15
    idle_rad_s: float = 0.02
    lead_s: float = 0.2
    tail_s: float = 0.8  # the robot must also learn to stay where it ended
    min_length_s: float = 1.0


@dataclass(frozen=True)
class Piece:
    """T control steps without a gap.

    Attributes:
        frames: for each step, each camera's message number.
        joints, targets: (T, J) [rad], measured, and to be reached one step later.
        ages_s: (T,) how old the observation was at its step [s].
    """

    frames: list[tuple[int, ...]]
    joints: np.ndarray
    targets: np.ndarray
    ages_s: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def vectors(self, kinematics: ForwardKinematics) -> tuple[np.ndarray, np.ndarray]:
        """States and actions (T, S) float32 as the model knows them: wrist poses by forward kinematics, then the joints."""
        return np.stack([kinematics.state(row) for row in self.joints]), np.stack([kinematics.state(row) for row in self.targets])


@dataclass(frozen=True)
class Resampled:
    """What a bag gave: its pieces, and what was noticed on the way.

    Attributes:
        gaps: when [s after the first observation] and how long [s].
        idle_s: cut from both ends [s].
        rejected_commands: trajectories that a controller would have refused.
        uncommanded: controllers that were never told anything; their actions are measured states.
    """

    pieces: list[Piece]
    gaps: list[tuple[float, float]]
    idle_s: tuple[float, float]
    rejected_commands: int
    uncommanded: list[str]


def resample(timeline: Timeline, embodiment: Embodiment, settings: Resampling) -> Resampled:
    """Brings a timeline to `embodiment.rate_hz`. Raises BagError if nothing is left, with the reason."""
    if not timeline.sightings:
        raise BagError(f"no frame has joints of its moment ({timeline.incomplete} have not); are the clocks of camera and joints the same?")
    period_ns = round(NANOSECONDS / embodiment.rate_hz)
    stamps = np.array([sighting.stamp_ns for sighting in timeline.sightings])
    ticks = np.arange(stamps[0], stamps[-1] + 1, period_ns)
    chosen = np.searchsorted(stamps, ticks + int(JITTER_SHARE * period_ns), side="right") - 1
    ages_s = np.maximum(ticks - stamps[chosen], 0) / NANOSECONDS
    joints = np.stack([timeline.sightings[i].joints for i in chosen])
    targets, rejected, silent = joints[1:], 0, list[str]()
    if settings.actions == "commands":
        targets, rejected, silent = commanded(timeline.commands, ticks[:-1] + period_ns, joints, embodiment)
    count = len(ticks) - 1  # the last step's action lies beyond the bag
    first, last = moving_span(targets, embodiment.rate_hz, settings)
    whole = ages_s[:count] <= settings.max_gap_s
    gaps = [((ticks[a] - ticks[0]) / NANOSECONDS, (b - a) / embodiment.rate_hz) for a, b in _runs(~whole)]
    spans = _runs(whole) if settings.gaps == "drop" else [(0, count)]
    pieces = []
    for begin, end in ((max(a, first), min(b, last)) for a, b in spans):
        if end - begin >= settings.min_length_s * embodiment.rate_hz:
            frames = [timeline.sightings[i].frames for i in chosen[begin:end]]
            pieces.append(Piece(frames, joints[begin:end], targets[begin:end], ages_s[begin:end]))
    if not pieces:
        longest = max((length for _, length in gaps), default=0.0)
        raise BagError(f"no {settings.min_length_s} s of motion without a gap; {len(gaps)} gaps, the longest {longest:.2f} s")
    return Resampled(pieces, gaps, (first / embodiment.rate_hz, (count - last) / embodiment.rate_hz), rejected, silent)


def commanded(
    commands: Sequence[Command], times_ns: np.ndarray, joints: np.ndarray, embodiment: Embodiment
) -> tuple[np.ndarray, int, list[str]]:
    """Where the controllers wanted the joints at each of `times_ns`: (T, J) [rad]; rejected commands; controllers never told.

    The emulated controllers hear every command when it was known and interpolate as the real ones do. `joints`
    (T + 1, J): measured; a controller stands at the first row until it is told something, and one that never is
    takes the measured positions of the next step.
    """
    place = {name: i for i, name in enumerate(embodiment.joint_names)}
    targets = joints[1:].copy()
    rejected, silent = 0, []
    for controller in embodiment.controllers:
        own = [command for command in commands if command.controller == controller.name]
        index = np.array([place[name] for name in controller.joints])
        if not own:
            silent.append(controller.name)
            continue
        emulated = JointTrajectoryController(controller, joints[0, index])
        waiting = iter(own)
        command = next(waiting, None)
        for step, time_ns in enumerate(times_ns):
            while command is not None and command.known_ns < time_ns:
                emulated.sample(command.known_ns)
                try:
                    emulated.accept(command.request, command.known_ns)
                except TrajectoryRejectedError:
                    rejected += 1
                command = next(waiting, None)
            targets[step, index] = emulated.sample(int(time_ns))
    return targets, rejected, silent


def moving_span(targets: np.ndarray, rate_hz: float, settings: Resampling) -> tuple[int, int]:
    """First step and the one after the last, of the motion in `targets` (T, J) [rad] and what is kept around it.

    Raises:
        BagError: nothing moves.
    """
    speeds = np.abs(np.diff(targets, axis=0)).max(axis=1, initial=0.0) * rate_hz
    moving = np.flatnonzero(speeds > settings.idle_rad_s)
    if not len(moving):
        raise BagError(f"nothing moves faster than {settings.idle_rad_s} rad/s in it; was the robot driven, are the commands recorded?")
    first = moving[0] - round(settings.lead_s * rate_hz)
    last = moving[-1] + 2 + round(settings.tail_s * rate_hz)
    return max(int(first), 0), min(int(last), len(targets))


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First index and the one after the last of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
