"""Where the controllers wanted the joints, by emulating them on the recorded commands, and whether the joints went there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dial_core.control.joint_trajectory_controller import (
    DEFAULT_RULES,
    PERMISSIVE_RULES,
    ControllerRules,
    JointTrajectoryController,
    TrajectoryRejectedError,
)
from dial_core.control.motion import NANOSECONDS
from dial_core.importers.bag.command_messages import is_set_point
from dial_core.importers.bag.timeline import Command
from dial_core.importers.command_agreement import LONGEST_LAG_S, MOVES_RAD, behind_steps, comparable, contradiction, error
from dial_core.importers.reach import reach_of
from dial_core.robot.embodiment import Controller, Embodiment

LEAST_OFFSET_S = 0.01  # of clocks: below it, computers that NTP synchronises over a wireless network
_AFTER_ALL_NS = 2**62


@dataclass(frozen=True)
class Standing:
    """A controller at the end of a part of a recording: what it was commanded at last, and where its joints were, (J,) [rad] each."""

    wanted: np.ndarray
    measured: np.ndarray

    def still_holds(self, measured: np.ndarray, ranges: np.ndarray) -> bool:
        """Whether the joints (J,) [rad], with these ranges, stayed where they were: else they were commanded elsewhere meanwhile."""
        return bool(np.abs(comparable(measured - self.measured, ranges)).max() < MOVES_RAD)


@dataclass
class Commanded:
    """What the commands asked for.

    Attributes:
        targets: (T, J) [rad].
        sent: commands by controller.
        rejected: those that a controller would have refused, by controller and reason.
        judged: controllers whose settings were found by what the joints did, with what they must allow.
        contradicted: controllers whose joints contradict their commands, and how.
        uncommanded: controllers of which no command is known; their targets are measured positions.
        standing: where the commanded controllers are at the end.
        late_s: controllers whose commands come after the motion that they should ask for, and by how much [s].
        offset_s: by how much the recorder's clock may be ahead of the stamps' [s].
        shifted: the commands were dated back by that.
    """

    targets: np.ndarray
    sent: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, Counter[str]] = field(default_factory=dict)
    judged: dict[str, str] = field(default_factory=dict)
    contradicted: dict[str, str] = field(default_factory=dict)
    uncommanded: list[str] = field(default_factory=list)
    standing: dict[str, Standing] = field(default_factory=dict)
    late_s: dict[str, float] = field(default_factory=dict)
    offset_s: float = 0.0
    shifted: bool = False

    @property
    def doubts(self) -> int:
        """Number of controllers whose joints contradict their commands, or moved before them."""
        return len(self.contradicted.keys() | self.late_s.keys())


def commanded(
    commands: Sequence[Command],
    times_ns: np.ndarray,
    joints: np.ndarray,
    embodiment: Embodiment,
    rules: Mapping[str, ControllerRules] | None = None,
    before: Mapping[str, Standing] | None = None,
    offset_s: float = 0.0,
) -> Commanded:
    """Where the controllers wanted the joints at each of `times_ns`.

    The emulated controllers receive every command when it was known and interpolate as the real ones do. Until it receives a command, a
    controller stands where it was commanded `before`, if its joints are still there, else at the first measured row. One that never
    receives any, and does not stand by one from before, takes the measured positions of the next step.

    Args:
        joints: measured (T + 1, J) [rad].
        rules: of the controllers, where they are known. Of others that reject commands by their default settings, those settings are
            taken by which the commands explain how the joints moved.
        before: controllers at the end of the part of the recording before this one.
        offset_s: by how much the recorder's clock, by which the commands are dated, may be ahead of the stamps' [s]. They are dated back
            by it if it is negative, as no network delivers before it was sent, or if the joints agree with them only then.
    """
    result = _by_these_times(commands, times_ns, joints, embodiment, rules, before)
    result.offset_s = offset_s
    if abs(offset_s) < LEAST_OFFSET_S or (offset_s > 0 and not result.doubts):
        return result
    ahead_ns = round(offset_s * NANOSECONDS)
    dated = (replace(command, known_ns=max(command.known_ns - ahead_ns, command.request.stamp_ns)) for command in commands)
    shifted = _by_these_times(sorted(dated, key=lambda c: c.known_ns), times_ns, joints, embodiment, rules, before)
    shifted.offset_s, shifted.shifted = offset_s, True
    return shifted if shifted.doubts < result.doubts + (offset_s < 0) else result


def _by_these_times(
    commands: Sequence[Command],
    times_ns: np.ndarray,
    joints: np.ndarray,
    embodiment: Embodiment,
    rules: Mapping[str, ControllerRules] | None,
    before: Mapping[str, Standing] | None,
) -> Commanded:
    """As `commanded`, for commands that are dated by the clock of the stamps."""
    result = Commanded(joints[1:].copy())
    step_s = float(np.median(np.diff(times_ns))) / NANOSECONDS if len(times_ns) > 1 else 1.0 / embodiment.rate_hz
    lags = range(max(round(LONGEST_LAG_S / step_s), 1) + 1)
    for controller in embodiment.controllers:
        name, index = controller.name, embodiment.indices(controller.joints)
        own = [command for command in commands if command.controller == name]
        measured, ranges, reach = joints[1:, index], (embodiment.upper - embodiment.lower)[index], reach_of(embodiment)[index]
        standing = (before or {}).get(name)
        holds = standing is not None and standing.still_holds(joints[0, index], ranges)
        start = standing.wanted if standing is not None and holds else joints[0, index]
        wanted, end = np.tile(start, (len(times_ns), 1)), start
        if own:
            result.sent[name] = len(own)
            wanted, end = _emulated(result, controller, own, times_ns, start, measured, lags, (rules or {}).get(name))
        why = contradiction(wanted, measured, controller.joints, reach, lags, ranges)
        if not own and (why or not holds):
            result.uncommanded.append(name)
            continue
        if why:
            result.contradicted[name] = why
        if own and (late := behind_steps(comparable(wanted, ranges), comparable(measured, ranges), lags)):
            result.late_s[name] = late * step_s
        result.targets[:, index] = wanted
        result.standing[name] = Standing(end, joints[-1, index])
    return result


def _emulated(
    result: Commanded,
    controller: Controller,
    commands: Sequence[Command],
    times_ns: np.ndarray,
    start: np.ndarray,
    measured: np.ndarray,
    lags: Sequence[int],
    known: ControllerRules | None,
) -> tuple[np.ndarray, np.ndarray]:
    """As `emulate`, by the `known` settings or those that explain `measured` (T, joints); notes in `result` what was rejected."""
    wanted, end, rejected = emulate(controller, commands, times_ns, start, known or DEFAULT_RULES)
    if known is None and rejected:
        freer, freer_end, fewer = emulate(controller, commands, times_ns, start, PERMISSIVE_RULES)
        if sum(fewer.values()) < sum(rejected.values()) and error(freer, measured, lags) < 0.5 * error(wanted, measured, lags):
            result.judged[controller.name] = ", ".join(sorted(rejected.keys() - fewer.keys()))
            wanted, end, rejected = freer, freer_end, fewer
    if rejected:
        result.rejected[controller.name] = rejected
    return wanted, end


def emulate(
    controller: Controller, commands: Sequence[Command], times_ns: np.ndarray, start: np.ndarray, rules: ControllerRules
) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
    """A controller that stood at `start` (joints,): its set-points, where it ends, and what it rejected.

    Returns:
        Set-points (T, joints) [rad] at `times_ns`; where the last trajectory ends (joints,) [rad]; rejected commands by reason.
    """
    emulated, rejected = JointTrajectoryController(controller, start, rules=rules), Counter[str]()
    wanted = np.empty((len(times_ns), len(start)))
    waiting = iter(commands)
    command, at_ns = next(waiting, None), 0
    for step, time_ns in enumerate([*times_ns, None]):
        while command is not None and (time_ns is None or command.known_ns < time_ns):
            at_ns = max(command.known_ns, at_ns + 1)  # one after the other: a set-point takes 1 ns
            emulated.sample(at_ns)
            emulated.rules = PERMISSIVE_RULES if is_set_point(command.request) else rules
            try:
                emulated.accept(command.request, at_ns)
            except TrajectoryRejectedError as error:
                rejected[error.rule] += 1
            command = next(waiting, None)
        if time_ns is not None:
            wanted[step] = emulated.sample(int(time_ns))
    return wanted, emulated.sample(_AFTER_ALL_NS), rejected
