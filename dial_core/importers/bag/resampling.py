"""A timeline at the control rate: which frame, state and action stand at each step; idle ends cut, gaps reported or cut out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dial_core.bags.layout import BagError
from dial_core.control.joint_trajectory_controller import ControllerRules
from dial_core.control.motion import NANOSECONDS
from dial_core.importers.bag.commanded import Commanded, commanded
from dial_core.importers.bag.timeline import Epoch, Timeline
from dial_core.importers.command_agreement import comparable
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.kinematics import ForwardKinematics

OFFSET_S = 0.05  # a control step: a clock offset, or latency, beyond it is reported
JITTER_SHARE = 0.2  # of a control period: a frame that comes so much after a step still belongs to it


@dataclass(frozen=True)
class Resampling:
    """How bags become episodes.

    Attributes:
        actions: "commands": where the controllers wanted the joints one step later; "next": where they were measured then.
        gaps: "drop": cut the episode at gaps; "keep": fill them with the last observation and report them. Pauses are cut in any case.
        max_gap_s: an observation older than this at its step is a gap [s].
        idle_rad_s: joints slower than this stand still [rad/s]; of a joint whose range is less than 1 rad or m, such a share of it [1/s].
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
    """T control steps without a gap, for one instruction.

    Attributes:
        frames: for each step, each camera's message number.
        joints, targets: (T, J) [rad], measured, and to be reached one step later.
        ages_s: (T,) how old the observation was at its step [s].
        instruction: of the topic at that time; empty: the bag has none.
    """

    frames: list[tuple[int, ...]]
    joints: np.ndarray
    targets: np.ndarray
    ages_s: np.ndarray
    instruction: str = ""

    def __len__(self) -> int:
        return len(self.frames)

    def vectors(self, kinematics: ForwardKinematics) -> tuple[np.ndarray, np.ndarray]:
        """States and actions (T, S) float32 as the model knows them: wrist poses by forward kinematics, then the joints."""
        return np.stack([kinematics.state(row) for row in self.joints]), np.stack([kinematics.state(row) for row in self.targets])


@dataclass
class Resampled:
    """What a bag gave: its pieces, and what was noticed on the way.

    Attributes:
        gaps: when [s after the first observation] and how long [s].
        idle_s: cut from both ends [s].
        commanded: what the commands asked for, by epoch.
        dropped: parts that gave no episode, a sentence each.
    """

    pieces: list[Piece] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    idle_s: tuple[float, float] = (0.0, 0.0)
    commanded: list[Commanded] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    @property
    def uncommanded(self) -> list[str]:
        """Controllers that never received a command."""
        silent = [set(part.uncommanded) for part in self.commanded]
        return [name for name in self.commanded[0].uncommanded if all(name in each for each in silent)] if silent else []

    @property
    def uncommanded_parts(self) -> dict[str, list[int]]:
        """Of the other controllers, the numbers of the parts, from 1 on, in which no command is known that holds."""
        parts: dict[str, list[int]] = {}
        for number, part in enumerate(self.commanded, 1):
            for name in part.uncommanded:
                parts.setdefault(name, []).append(number)
        return {name: numbers for name, numbers in parts.items() if len(numbers) < len(self.commanded)}


def resample(
    timeline: Timeline, embodiment: Embodiment, settings: Resampling, rules: Mapping[str, ControllerRules] | None = None
) -> Resampled:
    """Brings a timeline to `embodiment.rate_hz`. An episode ends at a gap, where the clock was set and where the instruction changes.

    Args:
        rules: of the controllers, where they are known.

    Raises:
        BagError: nothing is left, no command to a controller can be used, or the joints moved otherwise than commanded; with the reason.
    """
    if not timeline.sightings:
        reasons, ahead_s = "; ".join(timeline.left_out.sentences(3)), timeline.camera_ahead_s
        side = "before" if (ahead_s or 0.0) < 0 else "after"
        apart = "" if ahead_s is None else f" The camera's stamps lie {abs(ahead_s):.2f} s {side} the joints'."
        raise BagError(
            f"no frame has joints of its moment ({timeline.incomplete} have not); are the clocks of camera and joints the same?{apart}"
            + (f" Left out were {reasons}" if reasons else "")
        )
    if settings.actions == "commands":
        _require_read(timeline.unread)
    found = Resampled()
    for epoch in timeline.epochs:
        if len(epoch.sightings) > 1:
            _add_epoch(found, epoch, embodiment, settings, rules)
    _require_agreement(found.commanded)
    if not found.pieces:
        longest = max((length for _, length in found.gaps), default=0.0)
        gaps = f"; {len(found.gaps)} gaps, the longest {longest:.2f} s" if found.gaps else ""
        raise BagError(f"no {settings.min_length_s} s of motion without a gap: {'; '.join(found.dropped) or 'it is too short'}{gaps}")
    return found


def _add_epoch(
    found: Resampled, epoch: Epoch, embodiment: Embodiment, settings: Resampling, rules: Mapping[str, ControllerRules] | None
) -> None:
    """Adds the pieces of a part of the recording in which the clock ran forwards."""
    period_ns = round(NANOSECONDS / embodiment.rate_hz)
    stamps = np.array([sighting.stamp_ns for sighting in epoch.sightings])
    ticks = np.arange(stamps[0], stamps[-1] + 1, period_ns)
    if len(ticks) < 2:
        return
    chosen = np.searchsorted(stamps, ticks + int(JITTER_SHARE * period_ns), side="right") - 1
    ages_s = np.maximum(ticks - stamps[chosen], 0) / NANOSECONDS
    joints = np.stack([epoch.sightings[i].joints for i in chosen])
    targets = joints[1:]
    if settings.actions == "commands":
        standing = found.commanded[-1].standing if found.commanded else {}
        found.commanded.append(commanded(epoch.commands, ticks[:-1] + period_ns, joints, embodiment, rules, standing, epoch.offset_s))
        targets = found.commanded[-1].targets
    count = len(ticks) - 1  # the last step's action lies beyond the recording
    whole = ages_s[:count] <= settings.max_gap_s
    found.gaps += [((ticks[a] - ticks[0]) / NANOSECONDS, (b - a) / embodiment.rate_hz) for a, b in _runs(~whole)]
    for begin, end, text in _by_instruction(epoch, chosen[:count]):
        span = moving_span(targets[begin:end], embodiment.rate_hz, settings, embodiment.upper - embodiment.lower)
        if text is None:
            if span is not None:
                moving_s = (span[1] - span[0]) / embodiment.rate_hz
                found.dropped.append(f"the instruction was cleared, and the robot moved on for {moving_s:.2f} s")
            continue
        if span is None:
            found.dropped.append(f"nothing moves faster than {settings.idle_rad_s} rad/s {f'during {text!r}' if text else 'in it'}")
            continue
        first, last = begin + span[0], begin + span[1]
        found.idle_s = (found.idle_s[0] if found.pieces else first / embodiment.rate_hz, (count - last) / embodiment.rate_hz)
        for a, b in _runs(whole) if settings.gaps == "drop" else [(0, count)]:
            a, b = max(a, first), min(b, last)
            if b - a >= max(settings.min_length_s * embodiment.rate_hz, 1):
                frames = [epoch.sightings[i].frames for i in chosen[a:b]]
                found.pieces.append(Piece(frames, joints[a:b], targets[a:b], ages_s[a:b], text))
            elif b > a:
                found.dropped.append(f"a part of {(b - a) / embodiment.rate_hz:.2f} s is shorter than {settings.min_length_s} s")


def _by_instruction(epoch: Epoch, chosen: np.ndarray) -> list[tuple[int, int, str | None]]:
    """First step, the one after the last, and instruction of each part; what comes before the first has the first's.

    None: the instruction was cleared by an empty one.
    """
    changes: list[tuple[int, str | None]] = []
    for sightings, text in epoch.instructions:
        if not changes or (text or None) != changes[-1][1]:
            changes.append((sightings if changes else 0, text or None))
    if not changes:
        return [(0, len(chosen), "")]
    begins = [int(np.searchsorted(chosen, number)) for number, _ in changes]
    ends = [*begins[1:], len(chosen)]
    return [(begin, end, text) for begin, end, (_, text) in zip(begins, ends, changes, strict=True) if end > begin]


def _require_read(unread: Mapping[str, str]) -> None:
    """Refuses a bag with commands of which none could be used: measured positions would silently become the actions."""
    for name, why in unread.items():
        raise BagError(
            f"{name} was commanded, and not one command could be used: {why}. "
            "Name its joints or another topic (--mapping FILE), or take the states as actions (--actions next)"
        )


def offset_words(offset_s: float) -> str:
    """A clause that says by how much the recorder's clock is ahead of the stamps' [s]."""
    return f"the recorder's clock is {abs(offset_s):.2f} s {'ahead of' if offset_s > 0 else 'behind'} the stamps of joints and cameras"


def _require_agreement(parts: Sequence[Commanded]) -> None:
    for part in parts:
        for name, how in part.contradicted.items():
            rejected = part.rejected.get(name, Counter())
            why = "; ".join(f"{rule} ({count} of {part.sent[name]} commands)" for rule, count in rejected.most_common(3))
            raise BagError(
                f"{name}: {how}"
                + (f"; by its settings it rejects: {why}" if why else "")
                + (f"; {offset_words(part.offset_s)}" if abs(part.offset_s) > OFFSET_S else "")
                + ". Name its settings (--controllers FILE), its topic (--mapping FILE), or take the states as actions (--actions next)"
            )


def moving_span(targets: np.ndarray, rate_hz: float, settings: Resampling, ranges: np.ndarray | None = None) -> tuple[int, int] | None:
    """First step and the one after the last, of the motion in `targets` (T, J) [rad] and what is kept around it; None if nothing moves.

    `ranges`: from each joint's lower to its upper limit (J,) [rad, or m if it slides]; None: all are wide.
    """
    moved = targets if ranges is None else comparable(targets, ranges)
    speeds = np.abs(np.diff(moved, axis=0)).max(axis=1, initial=0.0) * rate_hz
    moving = np.flatnonzero(speeds > settings.idle_rad_s)
    if not len(moving):
        return None
    first = moving[0] - round(settings.lead_s * rate_hz)
    last = moving[-1] + 2 + round(settings.tail_s * rate_hz)
    return max(int(first), 0), min(int(last), len(targets))


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First index and the one after the last of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
