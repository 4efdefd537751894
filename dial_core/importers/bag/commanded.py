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
from dial_core.importers.bag.command_messages import is_set_point
from dial_core.importers.bag.reach import reach_of
from dial_core.importers.bag.timeline import Command
from dial_core.importers.command_agreement import LONGEST_LAG_S, contradiction, error
from dial_core.robot.embodiment import Controller, Embodiment


@dataclass
class Commanded:
    """What the commands asked for.

    Attributes:
        targets: (T, J) [rad].
        sent: commands by controller.
        rejected: those that a controller would have refused, by controller and reason.
        judged: controllers whose settings were found by what the joints did, with what they must allow.
        contradicted: controllers whose joints contradict their commands, and how.
        uncommanded: controllers that never received a command; their targets are measured positions.
    """

    targets: np.ndarray
    sent: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, Counter[str]] = field(default_factory=dict)
    judged: dict[str, str] = field(default_factory=dict)
    contradicted: dict[str, str] = field(default_factory=dict)
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
            if sum(fewer.values()) < sum(rejected.values()) and error(freer, measured, lags) < 0.5 * error(wanted, measured, lags):
                result.judged[controller.name] = ", ".join(sorted(rejected.keys() - fewer.keys()))
                wanted, rejected = freer, fewer
        result.targets[:, index] = wanted
        if rejected:
            result.rejected[controller.name] = rejected
        ranges = (embodiment.upper - embodiment.lower)[index]
        if why := contradiction(wanted, measured, controller.joints, reach_of(embodiment)[index], lags, ranges):
            result.contradicted[controller.name] = why
    return result


def emulate(
    controller: Controller, commands: Sequence[Command], times_ns: np.ndarray, start: np.ndarray, rules: ControllerRules
) -> tuple[np.ndarray, Counter[str]]:
    """Set-points (T, joints) [rad] at `times_ns` of a controller that stood at `start`, and how often it rejected for which reason."""
    emulated, rejected = JointTrajectoryController(controller, start, rules=rules), Counter[str]()
    wanted = np.empty((len(times_ns), len(start)))
    waiting = iter(commands)
    command, at_ns = next(waiting, None), 0
    for step, time_ns in enumerate(times_ns):
        while command is not None and command.known_ns < time_ns:
            at_ns = max(command.known_ns, at_ns + 1)  # one after the other: a set-point takes 1 ns
            emulated.sample(at_ns)
            emulated.rules = PERMISSIVE_RULES if is_set_point(command.request) else rules
            try:
                emulated.accept(command.request, at_ns)
            except TrajectoryRejectedError as error:
                rejected[error.rule] += 1
            command = next(waiting, None)
        wanted[step] = emulated.sample(int(time_ns))
    return wanted, rejected
