"""Figures of a trial from the nodes' status messages, and of a run of trials: summary.json."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.msg import System1Status, System2Status
from dial_ros.tools.trials import Trial

PACKAGES = ("torch", "transformers", "mujoco", "ros-jazzy-rclpy", "ros-jazzy-rmw-fastrtps-cpp", "numpy")


@dataclass(frozen=True)
class TrialFigures:
    """One trial in numbers. Rates and latencies in simulated time, which is the robot's time."""

    task: str  # empty: the one that the simulation was started with
    seed: int
    instruction: str
    success: bool
    sim_s: float  # from the instruction to success or time-out
    wall_s: float
    real_time_factor: float  # [1] sim_s / wall_s
    system2_rate_hz: float
    system1_rate_hz: float  # chunks
    foresight_age_median_s: float | None  # from the foresight's observation to the chunk's; None: no chunk
    foresight_age_max_s: float | None
    camera_to_command_latency_median_s: float | None  # from the image stamp to the publishing of the trajectories
    camera_to_command_latency_p99_s: float | None
    system2_latency_median_s: float | None  # from the image stamp to the publishing of the foresight
    chunks: int
    foresights: int
    rejected_foresights: int
    rejected_foresights_by_reason: dict[str, int]
    rejected_chunks: int  # by System-1
    rejected_trajectories: int  # by the robot's controllers
    lost_frames: int  # camera frames that did not reach System-1
    holds: int  # times System-1 decelerated to a hold


def figures(trial: Trial) -> TrialFigures:
    """Returns the figures of a finished trial. The nodes' counters are never reset, so differences over the trial are taken."""
    ones = [s for s in trial.system1 if s.instruction_id == trial.instruction_id]
    twos = [s for s in trial.system2 if s.instruction_id == trial.instruction_id]
    # From the last report before the instruction on, so that nothing that happened right after it is missed.
    before = [s for s in trial.system1 if s.instruction_id != trial.instruction_id][-1:]
    all_ones = before + ones
    chunks = [new for old, new in pairwise(all_ones) if new.published_chunks > old.published_chunks]
    foresights = [new for old, new in pairwise(twos) if new.published_foresights > old.published_foresights]
    latencies = [s.camera_to_command_latency for s in chunks]
    ages = [s.foresight_age_of_chunk for s in chunks]
    states = [s.state for s in all_ones]
    return TrialFigures(
        task=trial.task,
        seed=trial.seed,
        instruction=trial.instruction,
        success=trial.success,
        sim_s=round(trial.sim_s, 3),
        wall_s=round(trial.wall_s, 3),
        real_time_factor=round(trial.sim_s / max(trial.wall_s, 1e-9), 3),
        system2_rate_hz=_rate(twos, "published_foresights"),
        system1_rate_hz=_rate(ones, "published_chunks"),
        foresight_age_median_s=_quantile(ages, 0.5),
        foresight_age_max_s=_quantile(ages, 1.0),
        camera_to_command_latency_median_s=_quantile(latencies, 0.5),
        camera_to_command_latency_p99_s=_quantile(latencies, 0.99),
        system2_latency_median_s=_quantile([s.camera_to_foresight_latency for s in foresights], 0.5),
        chunks=_gain(all_ones, "published_chunks"),
        foresights=_gain(twos, "published_foresights"),
        rejected_foresights=_gain(all_ones, "rejected_foresights"),
        rejected_foresights_by_reason=_rejections(all_ones),
        rejected_chunks=_gain(all_ones, "rejected_chunks"),
        rejected_trajectories=len(trial.rejected_trajectories),
        lost_frames=_gain(all_ones, "lost_frames"),
        holds=sum(new == System1Status.STATE_HOLDING != old for old, new in pairwise(states)),
    )


def summary(trials: Sequence[TrialFigures], model_id: str, settings: dict) -> dict:
    """Returns the content of summary.json: the trials, and everything needed to know what was measured where."""
    return {
        "trials": [asdict(trial) for trial in trials],
        "successes": sum(trial.success for trial in trials),
        "checkpoint": {"model_id": model_id},
        "settings": settings,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "hardware": {"cpu": _cpu_name(), "usable_cores": len(os.sched_getaffinity(0)), "system": platform.platform()},
    }


def _rate(reports: Sequence[System1Status] | Sequence[System2Status], counter: str) -> float:
    """Returns the events per simulated second [Hz] between the first and the last report."""
    if len(reports) < 2:
        return 0.0
    span_s = (to_ns(reports[-1].stamp) - to_ns(reports[0].stamp)) / NANOSECONDS
    return round(_gain(reports, counter) / span_s, 3) if span_s > 0 else 0.0


def _gain(reports: Sequence, counter: str) -> int:
    return getattr(reports[-1], counter) - getattr(reports[0], counter) if reports else 0


def _rejections(reports: Sequence[System1Status]) -> dict[str, int]:
    if not reports:
        return {}
    first, last = (dict(zip(r.rejection_names, r.rejection_counts, strict=True)) for r in (reports[0], reports[-1]))
    return {name: int(count - first.get(name, 0)) for name, count in last.items() if count > first.get(name, 0)}


def _quantile(values: Sequence[float], q: float) -> float | None:
    return round(float(np.quantile(values, q)), 4) if values else None


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
