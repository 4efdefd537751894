"""Reports as lights and sentences: pure functions of the newest status messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from dial_ros.msg import System1Status, System2Status
from dial_ros.node.lifecycle import NOT_ACTIVE
from dial_ros.node.states import STOPPED, SYSTEM1_STATES, SYSTEM2_STATES
from dial_ros.operator.robot_view import Seen

Level = Literal["ok", "warn", "bad", "off"]
STALE_SHARE = 0.5  # of a limit: an input older than this deserves attention
SYMBOL: dict[Level, str] = {"ok": "●", "warn": "▲", "bad": "■", "off": "○"}  # a shape beside the colour: readable without colours
REPORTED_S = 0.5  # System-1 reports five times a second: a report this old is not late yet
RECENT_ERRORS_S = 5.0  # of the foresight's error that its light averages
LOW_ERROR = 0.05  # [1] a foresight this close is good, whether or not anything moved
LEVELS: dict[bytes, Level] = {DiagnosticStatus.OK: "ok", DiagnosticStatus.WARN: "warn", DiagnosticStatus.ERROR: "bad"}
NO_REPORT = "no report: it has not started, has ended, or cannot be reached"


@dataclass(frozen=True)
class Light:
    """One line of the page: a name, a level, and the reason in words."""

    name: str
    level: Level
    text: str


def system_lights(seen: Seen) -> list[Light]:
    """System-1, System-2 and a guard if there is one, or teleoperation in their place: state, and the reason in their own words."""
    lights = []
    if (teleoperation := seen.diagnostics.get("teleoperation")) is not None and not seen.silent("diagnostics/teleoperation"):
        return [Light("Teleoperation", "bad" if teleoperation.message == STOPPED else "ok", teleoperation.message)]
    status = seen.system1
    if status is None or seen.silent("system1"):
        lights.append(Light("System-1", "bad", NO_REPORT))
    else:
        state = SYSTEM1_STATES[status.state]
        level: Level = {"running": "ok", "stopped": "bad", "holding": "warn", "waiting": "warn"}.get(state, "off")  # type: ignore[assignment]
        lights.append(Light("System-1", "warn" if status.warning else level, _sentence(state, status.reason or status.warning)))
    other = seen.system2
    if other is None or seen.silent("system2"):
        lights.append(Light("System-2", "bad", NO_REPORT))
    else:
        state = SYSTEM2_STATES[other.state]
        lights.append(Light("System-2", {"running": "ok", "waiting": "warn"}.get(state, "off"), _sentence(state, other.reason)))  # type: ignore[arg-type]
    if (guard := _guard(seen)) is not None:
        lights.append(Light("Guard", LEVELS.get(guard.level, "bad"), guard.message))
    return lights


def age_lights(status: System1Status, limits_s: dict[str, float], report_age_s: float = 0.0) -> list[Light]:
    """Ages of System-1's inputs against their limits [s], and no light is green where the limit is not known.

    Arguments:
        limits_s: by input, as System-1's parameters say.
        report_age_s: how long ago the status was received [s]; what it reports has aged by as much as it is late.
    """
    late_s = max(0.0, report_age_s - REPORTED_S)
    ages = {
        "camera": status.camera_age,
        "joint states": status.joint_states_age,
        "foresight": status.foresight_age,
        "chunk": status.chunk_age,
    }
    lights = []
    for name, age_s in ages.items():
        limit_s = limits_s.get(name)
        if age_s < 0:
            lights.append(Light(name, "off", "none yet"))
            continue
        age_s += late_s
        if not limit_s:
            lights.append(Light(name, "off", f"{1000 * age_s:.0f} ms, limit not known"))
            continue
        share = age_s / limit_s
        level: Level = "bad" if share > 1 else "warn" if share > STALE_SHARE else "ok"
        lights.append(Light(name, level, f"{1000 * age_s:.0f} ms of {1000 * limit_s:.0f}"))
    return lights


def foresight_light(seen: Seen) -> Light:
    """How good System-2's expectations of the last seconds were, against expecting no change at all."""
    now_s = seen.clock_s()
    recent = [(error, unchanged) for at_s, error, unchanged in seen.errors if now_s - at_s <= RECENT_ERRORS_S]
    if not recent:
        return Light("foresight error", "off", "none yet: it needs a foresight and the view one horizon later")
    error, unchanged = (float(np.mean(values)) for values in zip(*recent, strict=True))
    text = f"{error:.3f} (expecting no change: {unchanged:.3f})"
    if error <= max(LOW_ERROR, unchanged):
        return Light("foresight error", "ok", text)
    return Light(
        "foresight error", "warn" if error <= 2 * max(LOW_ERROR, unchanged) else "bad", f"{text}: the scene is not what it expected"
    )


def nothing_moves_because(seen: Seen) -> str:
    """Why an instruction would not move the robot now, and what to do; empty if nothing known prevents it.

    A stop of the guard that the next trajectory may end prevents nothing, and is reported as what it is.
    """
    if "teleoperation" in seen.diagnostics and not seen.silent("diagnostics/teleoperation"):
        return ""  # keys move the robot, no instruction
    if seen.system2 is None or seen.silent("system2") or seen.system2.state == System2Status.STATE_INACTIVE:
        return "Nothing will move: System-2 is not active. Activate it: ros2 lifecycle set /system2 activate"
    status = seen.system1
    if status is None or seen.silent("system1") or status.state == System1Status.STATE_INACTIVE:
        return "Nothing will move: System-1 is not active. Activate it: ros2 lifecycle set /system1 activate"
    if status.state == System1Status.STATE_STOPPED:
        return "Nothing will move: the emergency stop is latched. Press “Reset stop”, then send an instruction"
    guard = _guard(seen)
    if guard is not None and guard.message.startswith(NOT_ACTIVE):
        return "Nothing will move: the guard is not active. Activate it: ros2 lifecycle set /guard activate"
    if guard is not None and _latched(guard):
        return f"Nothing will move: the guard {guard.message}. Call guard/reset when the cause is removed"
    if status.state == System1Status.STATE_PAUSED:
        return "Nothing will move until “Resume”: the robot is paused"
    if simulation_paused(seen):
        return "Nothing will move until “Run”: the simulation is paused"
    if status.state == System1Status.STATE_DISARMED and status.warning:
        return f"Nothing will move: {status.warning}"
    if guard is not None and LEVELS.get(guard.level) == "bad":
        return f"The robot may move: the guard {guard.message}; the next trajectory that passes its checks moves the robot"
    return ""


def replaced_instruction(seen: Seen, text: str) -> str:
    """The instruction that another one would replace in mid-motion; empty if the robot follows none, or the same."""
    status = seen.system1
    if status is None or seen.silent("system1") or status.state != System1Status.STATE_RUNNING:
        return ""
    return status.instruction if status.instruction != text else ""


def simulation_paused(seen: Seen) -> bool:
    """Whether a simulated robot reports that its time stands still."""
    status = seen.diagnostics.get("mujoco_robot")
    return status is not None and not seen.silent("diagnostics/mujoco_robot") and status.message == "paused"


def waterfall(seen: Seen) -> list[tuple[str, float, float]]:
    """The last chunk, from its exposure to its execution: (stage, begin [s], duration [s]); empty before the first chunk.

    Begins are relative to the exposure of the chunk's image. System-2 lies before it: the foresight in use was made of an earlier image.
    """
    status = seen.system1
    if status is None or status.camera_to_command_latency < 0:
        return []
    stages = []
    if seen.system2 is not None and seen.system2.camera_to_foresight_latency >= 0 and status.foresight_age_of_chunk >= 0:
        stages.append(("System-2", -float(status.foresight_age_of_chunk), float(seen.system2.camera_to_foresight_latency)))
    at_s = 0.0
    durations = {
        "exposure to node": status.transport_latency,
        "waiting": status.waiting_latency,
        "System-1": status.inference_latency,
        "splice": status.stitching_latency,
        "controller": max(status.trajectory_latency, 0.0),
        "lead": status.splice_lead - max(status.trajectory_latency, 0.0),
    }
    for name, duration_s in durations.items():
        stages.append((name, at_s, max(0.0, float(duration_s))))
        at_s += max(0.0, float(duration_s))
    return stages


def _guard(seen: Seen) -> DiagnosticStatus | None:
    return None if seen.silent("diagnostics/guard") else seen.diagnostics.get("guard")


def _latched(guard: DiagnosticStatus) -> bool:
    """Whether the guard's stop ends only with a reset."""
    return any(value.key == "latched" and value.value == str(True) for value in guard.values)


def _sentence(state: str, why: str) -> str:
    return f"{state}: {why}" if why else state
