"""Reports as lights and sentences: pure functions of the newest status messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dial_ros.msg import System1Status
from dial_ros.node.states import SYSTEM1_STATES, SYSTEM2_STATES
from dial_ros.operator.robot_view import Seen

Level = Literal["ok", "warn", "bad", "off"]
STALE_SHARE = 0.5  # of a limit: an input older than this is worth a look
SYMBOL: dict[Level, str] = {"ok": "●", "warn": "▲", "bad": "■", "off": "○"}  # a shape beside the colour: readable without colours


@dataclass(frozen=True)
class Light:
    """One line of the page: what, how it stands, in words."""

    name: str
    level: Level
    text: str


def system_lights(seen: Seen) -> list[Light]:
    """System-1 and System-2: state, and the reason in their own words."""
    lights = []
    status = seen.system1
    if status is None or seen.silent("system1"):
        lights.append(Light("System-1", "bad", "no report: it has not started, has ended, or is not reachable"))
    else:
        state = SYSTEM1_STATES[status.state]
        level: Level = {"running": "ok", "stopped": "bad", "holding": "warn", "waiting": "warn"}.get(state, "off")  # type: ignore[assignment]
        lights.append(Light("System-1", "warn" if status.warning else level, _sentence(state, status.reason or status.warning)))
    other = seen.system2
    if other is None or seen.silent("system2"):
        lights.append(Light("System-2", "bad", "no report: it has not started, has ended, or is not reachable"))
    else:
        state = SYSTEM2_STATES[other.state]
        lights.append(Light("System-2", {"running": "ok", "waiting": "warn"}.get(state, "off"), _sentence(state, other.reason)))  # type: ignore[arg-type]
    return lights


def age_lights(status: System1Status, limits_s: dict[str, float]) -> list[Light]:
    """Ages of System-1's inputs against their limits [s]; `limits_s` by input, as its parameters say."""
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
        text = f"{1000 * age_s:.0f} ms" + (f" of {1000 * limit_s:.0f}" if limit_s else "")
        share = age_s / limit_s if limit_s else 0.0
        lights.append(Light(name, "bad" if share > 1 else "warn" if share > STALE_SHARE else "ok", text))
    return lights


def waterfall(status: System1Status) -> list[tuple[str, float]]:
    """The last chunk's way from exposure to takeover: (stage, duration [s]), in order; empty before the first chunk."""
    if status.camera_to_command_latency < 0:
        return []
    stages = {
        "transport": status.transport_latency,
        "waiting": status.waiting_latency,
        "System-1": status.inference_latency,
        "splice": status.stitching_latency,
        "lead": status.splice_lead,
    }
    return [(name, max(0.0, float(seconds))) for name, seconds in stages.items()]


def _sentence(state: str, why: str) -> str:
    return f"{state}: {why}" if why else state
