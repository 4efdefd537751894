"""Where the controllers wanted the joints, by emulating them on the recorded commands, and whether the joints went there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dial_core.control.joint_trajectory_controller import (
    DEFAULT_RULES,
    PERMISSIVE_RULES,
    ControllerRules,
    JointTrajectoryController,
    TrajectoryRejectedError,
)
from dial_core.importers.bag.timeline import Command
from dial_core.robot.embodiment import Controller, Embodiment

LONGEST_LAG_S = 0.6  # of joints behind their set-points
MOVES_RAD = 0.1  # a joint that moves less proves nothing
EXPLAINED = 0.5  # share of the joints' motion that their commands must explain


@dataclass
class Commanded:
    """What the commands asked for.

    Attributes:
        targets: (T, J) [rad].
        sent: commands by controller.
        rejected: those that a controller would have refused, by controller and reason.
        judged: controllers whose settings were found by what the joints did, with what they must allow.
        contradicted: controllers whose joints moved otherwise than commanded, with the share of the motion that agrees.
        uncommanded: controllers that never received a command; their targets are measured positions.
    """

    targets: np.ndarray
    sent: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, Counter[str]] = field(default_factory=dict)
    judged: dict[str, str] = field(default_factory=dict)
    contradicted: dict[str, float] = field(default_factory=dict)
    uncommanded: list[str] = field(default_factory=list)


def commanded(
    commands: Sequence[Command],
    times_ns: np.ndarray,
    joints: np.ndarray,
    embodiment: Embodiment,
    rules: Mapping[str, ControllerRules] | None = None,
) -> Commanded:
    """Where the controllers wanted the joints at each of `times_ns`.

    The emulated controllers receive every command when it was known and interpolate as the real ones do. A controller stands at the
    first measured row until it receives a command, and one that never does takes the measured positions of the next step.

    Args:
        joints: measured (T + 1, J) [rad].
        rules: of the controllers, where they are known. Of others that reject commands by their default settings, those settings are
            taken by which the commands explain how the joints moved.
    """
    result = Commanded(joints[1:].copy())
    step_s = float(np.median(np.diff(times_ns))) / 1e9 if len(times_ns) > 1 else 1.0 / embodiment.rate_hz
    lags = range(max(round(LONGEST_LAG_S / step_s), 1) + 1)
    for controller in embodiment.controllers:
        own = [command for command in commands if command.controller == controller.name]
        index = embodiment.indices(controller.joints)
        measured = joints[1:, index]
        if not own:
            result.uncommanded.append(controller.name)
            continue
        result.sent[controller.name] = len(own)
        known = (rules or {}).get(controller.name)
        wanted, rejected = emulate(controller, own, times_ns, joints[0, index], known or DEFAULT_RULES)
        if known is None and rejected:
            freer, fewer = emulate(controller, own, times_ns, joints[0, index], PERMISSIVE_RULES)
            if sum(fewer.values()) < sum(rejected.values()) and _error(freer, measured, lags) < 0.5 * _error(wanted, measured, lags):
                result.judged[controller.name] = ", ".join(sorted(rejected.keys() - fewer.keys()))
                wanted, rejected = freer, fewer
        result.targets[:, index] = wanted
        if rejected:
            result.rejected[controller.name] = rejected
        share = min(explained(wanted, measured, lags), 1.0 - moved_away(wanted, measured))
        if share < EXPLAINED:
            result.contradicted[controller.name] = share
    return result


def emulate(
    controller: Controller, commands: Sequence[Command], times_ns: np.ndarray, start: np.ndarray, rules: ControllerRules
) -> tuple[np.ndarray, Counter[str]]:
    """Set-points (T, joints) [rad] at `times_ns` of a controller that stood at `start`, and how often it rejected for which reason."""
    emulated, rejected = JointTrajectoryController(controller, start, rules=rules), Counter[str]()
    wanted = np.empty((len(times_ns), len(start)))
    waiting = iter(commands)
    command = next(waiting, None)
    for step, time_ns in enumerate(times_ns):
        while command is not None and command.known_ns < time_ns:
            emulated.sample(command.known_ns)
            try:
                emulated.accept(command.request, command.known_ns)
            except TrajectoryRejectedError as error:
                rejected[error.rule] += 1
            command = next(waiting, None)
        wanted[step] = emulated.sample(int(time_ns))
    return wanted, rejected


def explained(wanted: np.ndarray, measured: np.ndarray, lags: Sequence[int]) -> float:
    """Share of the variance of the measured joints (T, J) [rad] that a linear function of their set-points explains, at the best lag.

    1 if no joint moves, or what is left unexplained is less than an even motion by `MOVES_RAD`, as of fingers that touch something: then
    nothing contradicts the set-points.
    """
    moving = np.ptp(measured, axis=0) > MOVES_RAD
    if not moving.any() or len(measured) <= 2 * max(lags):
        return 1.0
    best = 0.0
    for lag in lags:
        x, y = wanted[: len(wanted) - lag, moving], measured[lag:, moving]
        x, y = x - x.mean(0), y - y.mean(0)
        spread = (x**2).sum(0)
        slope = np.divide((x * y).sum(0), spread, out=np.zeros_like(spread), where=spread > 1e-9)
        total, left = (y**2).sum(), y - slope * x
        proves = bool((left.std(axis=0) > MOVES_RAD / np.sqrt(12)).any())
        best = max(best, 1.0 - float((left**2).sum() / total) if proves else 1.0)
    return best


def moved_away(wanted: np.ndarray, measured: np.ndarray) -> float:
    """Share of the joints' path (T, J) [rad] on which they moved away from a set-point that they were far from."""
    moving = np.ptp(measured, axis=0) > MOVES_RAD
    steps = np.diff(measured, axis=0)[:, moving]
    distance = (wanted - measured)[:-1, moving]
    away = (np.abs(distance) > MOVES_RAD) & (distance * steps < 0)
    path = np.abs(steps).sum()
    return float(np.abs(steps[away]).sum() / path) if path > 0 else 0.0


def _error(wanted: np.ndarray, measured: np.ndarray, lags: Sequence[int]) -> float:
    """Mean square distance of the joints from their set-points, at the best lag [rad^2]."""
    usable = [lag for lag in lags if lag < len(measured)]
    return min(float(((wanted[: len(wanted) - lag] - measured[lag:]) ** 2).mean()) for lag in usable)
