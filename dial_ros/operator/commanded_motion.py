"""What the controllers were sent: the newest trajectory of every controller, the one before, and where they part."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from dial_core.control.motion import NANOSECONDS, JointMotion, to_ns
from dial_core.robot.embodiment import Controller, Embodiment

HISTORY_S = 4.0  # of measured and commanded joints that are shown
SAME_RAD = 1e-4  # closer points of two trajectories are the same motion

Curve = list[tuple[float, float]]  # (robot time [s], position [rad])


@dataclass
class _Sent:
    """The last two trajectories of one controller."""

    newest: JointMotion | None = None
    before: JointMotion | None = None

    def playing(self, time_ns: int) -> JointMotion:
        """What the controller plays: before the first point of the newest it still comes from the one before."""
        assert self.newest is not None
        waits = time_ns < self.newest.origin_ns + round(self.newest.times_s[0] * NANOSECONDS)
        return self.before if waits and self.before is not None else self.newest

    @cached_property
    def splice_ns(self) -> int | None:
        """Up to here the newest repeats the one before; None without one before."""
        return None if self.before is None or self.newest is None else splice_ns(self.before, self.newest)


@dataclass(frozen=True)
class JointPlan:
    """One joint's commanded motion in parts that follow one another, in robot time [s].

    Attributes:
        past: what was commanded until now.
        committed: from now to the splice point; it repeats the trajectory before.
        new: from the splice point on.
        replaced: what the trajectory before would have done from the splice point on.
        splice_s: where the newest trajectory takes over; None where there was none before.
    """

    past: Curve = field(default_factory=list)
    committed: Curve = field(default_factory=list)
    new: Curve = field(default_factory=list)
    replaced: Curve = field(default_factory=list)
    splice_s: float | None = None


class CommandedMotion:
    """Trajectories in, curves of single joints and the whole robot's target out."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._controllers = {c.name: c for c in embodiment.controllers}
        self._place = {name: (c.name, column) for c in embodiment.controllers for column, name in enumerate(c.joints)}
        self._indices = {c.name: embodiment.indices(c.joints) for c in embodiment.controllers}
        self._joints = len(embodiment.joints)
        self._sent = {name: _Sent() for name in self._controllers}
        self._past: deque[tuple[int, np.ndarray]] = deque()

    def note(self, controller: str, message: Any) -> None:
        """Takes a JointTrajectory; one that is no motion of the controller's joints is ignored."""
        motion = motion_of(message, self._controllers[controller])
        if motion is None:
            return
        sent = self._sent[controller]
        if sent.newest is not None and motion.end_ns < sent.newest.origin_ns:
            self.clear()  # the robot's clock went back
        self._sent[controller] = _Sent(motion, self._sent[controller].newest)

    def advance(self, now_ns: int) -> None:
        """Notes what is commanded at `now_ns` of the robot's time, for the past."""
        if self._past and now_ns < self._past[-1][0]:
            self._past.clear()
        if (target := self.target(now_ns)) is not None and (not self._past or now_ns > self._past[-1][0]):
            self._past.append((now_ns, target))
        while self._past and now_ns - self._past[0][0] > HISTORY_S * NANOSECONDS:
            self._past.popleft()

    def clear(self) -> None:
        """Drops the trajectories and the past."""
        self._sent = {name: _Sent() for name in self._controllers}
        self._past.clear()

    def target(self, time_ns: int) -> np.ndarray | None:
        """Commanded positions (J,) [rad] at a time; NaN where a controller was sent nothing, None if all of them were."""
        positions = np.full(self._joints, np.nan)
        for name, sent in self._sent.items():
            if sent.newest is not None:
                positions[self._indices[name]] = sent.playing(time_ns).sample(time_ns)[0]
        return None if np.isnan(positions).all() else positions

    @property
    def end_ns(self) -> int | None:
        """When the last of the newest trajectories ends; None before the first."""
        return max((sent.newest.end_ns for sent in self._sent.values() if sent.newest), default=None)

    def plan(self, joint: str, now_ns: int) -> JointPlan:
        """The parts of one joint's motion."""
        name, column = self._place[joint]
        sent, index = self._sent[name], self._indices[name][column]
        past = [(at_ns / NANOSECONDS, float(q[index])) for at_ns, q in self._past if at_ns <= now_ns and not np.isnan(q[index])]
        if sent.newest is None:
            return JointPlan(past)
        splice = sent.splice_ns
        parts = _from(sent.newest, column, now_ns, sent.newest.end_ns)
        if splice is None or sent.before is None:
            return JointPlan(past, [], parts)
        at_s = splice / NANOSECONDS
        committed = [point for point in parts if point[0] <= at_s]
        new = [point for point in parts if point[0] >= at_s]
        replaced = _from(sent.before, column, max(splice, now_ns), sent.before.end_ns)
        return JointPlan(past, committed + new[:1], new, replaced, at_s)

    def shares(self, embodiment: Embodiment, now_ns: int) -> dict[str, np.ndarray]:
        """Largest share of each limit that the newest trajectories use from `now_ns` on: limit -> (J,) [1]; empty before the first."""
        if self.end_ns is None:
            return {}
        position, velocity, acceleration = (np.zeros(self._joints) for _ in range(3))
        middle, half = (embodiment.upper + embodiment.lower) / 2, (embodiment.upper - embodiment.lower) / 2
        for name, sent in self._sent.items():
            motion, index = sent.newest, self._indices[name]
            if motion is None:
                continue
            ahead = np.append(motion.times_s[1:] > motion.offset_s(now_ns), True)  # the knot before now is still played
            positions, velocities, times_s = motion.positions[ahead], motion.velocities[ahead], motion.times_s[ahead]
            position[index] = (np.abs(positions - middle[index]) / half[index]).max(axis=0)
            velocity[index] = (np.abs(velocities) / embodiment.velocity[index]).max(axis=0)
            if len(times_s) > 1:
                rates = np.abs(np.diff(velocities, axis=0)) / np.diff(times_s)[:, None]
                acceleration[index] = (rates / embodiment.acceleration[index]).max(axis=0)
        return {"position": position, "velocity": velocity, "acceleration": acceleration}


def motion_of(message: Any, controller: Controller) -> JointMotion | None:
    """A JointTrajectory as the motion of a controller's joints in its order; None if it is none."""
    place = {name: column for column, name in enumerate(message.joint_names)}
    if not len(message.points) or not set(controller.joints) <= set(place):
        return None
    if any(len(point.positions) != len(message.joint_names) for point in message.points):
        return None
    columns = [place[name] for name in controller.joints]
    positions = np.array([point.positions for point in message.points], np.float64)[:, columns]
    given = all(len(point.velocities) == len(message.joint_names) for point in message.points)
    velocities = np.array([point.velocities for point in message.points], np.float64)[:, columns] if given else np.zeros_like(positions)
    times_s = np.array([to_ns(point.time_from_start) / NANOSECONDS for point in message.points])
    if not np.isfinite(positions).all() or (np.diff(times_s) <= 0).any():
        return None
    return JointMotion(to_ns(message.header.stamp), times_s, positions, velocities)


def splice_ns(before: JointMotion, motion: JointMotion) -> int:
    """The time of the last knot up to which `motion` repeats `before`: where it takes over."""
    last_ns = motion.origin_ns + round(motion.times_s[0] * NANOSECONDS)
    for time_s, position in zip(motion.times_s, motion.positions, strict=True):
        at_ns = motion.origin_ns + round(time_s * NANOSECONDS)
        if np.abs(before.sample(at_ns)[0] - position).max() > SAME_RAD:
            break
        last_ns = at_ns
    return last_ns


def _from(motion: JointMotion, column: int, begin_ns: int, end_ns: int) -> Curve:
    """Knots of one joint from `begin_ns` to `end_ns`, with the point at `begin_ns` itself."""
    if begin_ns >= end_ns:
        return []
    first = [(begin_ns / NANOSECONDS, float(motion.sample(begin_ns)[0][column]))]
    times_s = motion.origin_ns / NANOSECONDS + motion.times_s
    return first + [
        (float(at_s), float(q)) for at_s, q in zip(times_s, motion.positions[:, column], strict=True) if at_s > begin_ns / NANOSECONDS
    ]
