"""Continuous running: a new instruction every ten seconds for many minutes, with memory, losses and rejections."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dial_ros.faults.graph_under_test import GraphUnderTest
from dial_ros.faults.limits import LimitUse
from dial_ros.faults.outcome import load_runs, save_runs
from dial_ros.msg import System1Status

INSTRUCTION_PERIOD_S = 10.0
OBJECTS = ("can", "cup", "bottle", "milk")
WARM_UP_SHARE = 0.2  # of the run; allocators fill their pools first
GROWTH_LIMIT_MB_PER_HOUR = 60.0


@dataclass
class Soak:
    """The measurements of one run. Memory by node: minutes and MB."""

    minutes: float
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    instructions: int = 0
    chunks: int = 0
    rejected_chunks: int = 0  # by System-1, before sending
    rejected_trajectories: int = 0  # by the controllers
    lost_frames: int = 0
    lost_foresights: int = 0
    seconds_not_running: float = 0.0
    use: LimitUse = field(default_factory=LimitUse)
    busy_processes: int = 0  # beside the graph
    load_average: float = 0.0  # of the machine in the last minute

    def growth_mb_per_hour(self, node: str) -> float:
        """Slope of a node's memory after the warm-up [MB/h]."""
        samples = [(m, mb) for m, mb in self.memory[node] if m >= WARM_UP_SHARE * self.minutes]
        if len(samples) < 3:
            return float("nan")
        minutes, megabytes = np.array(samples).T
        return float(np.polyfit(minutes, megabytes, 1)[0] * 60)

    @property
    def passed(self) -> bool:
        """Whether nothing was rejected, no limit exceeded and no memory grew."""
        steady = all(self.growth_mb_per_hour(node) <= GROWTH_LIMIT_MB_PER_HOUR for node in self.memory)
        return steady and self.use.kept and not self.rejected_chunks and not self.rejected_trajectories


def load_soaks(file: Path) -> list[Soak]:
    """The runs of a JSON-lines file, in order; none if it does not exist."""
    return [_from_json(values) for values in load_runs(file)]


def save_soaks(file: Path, soaks: Sequence[Soak]) -> None:
    """Writes runs as a JSON-lines file that `load_soaks` reads."""
    save_runs(file, soaks)


def _from_json(values: dict) -> Soak:
    memory = {node: [(minutes, megabytes) for minutes, megabytes in samples] for node, samples in values.pop("memory").items()}
    return Soak(memory=memory, use=LimitUse(**values.pop("use")), **values)


def soak(graph: GraphUnderTest, minutes: float, busy_processes: int = 0) -> Soak:
    """Runs the robot for `minutes` of wall time beside so many busy processes, which are the caller's, and returns what was measured."""
    result = Soak(minutes, busy_processes=busy_processes)
    graph.run_freely()
    began, begin_s = graph.system1, time.monotonic()
    while (elapsed_min := (time.monotonic() - begin_s) / 60) < minutes:
        for node, megabytes in graph.rss_mb().items():
            result.memory.setdefault(node, []).append((elapsed_min, megabytes))
        graph.monitor.begin()
        thing = OBJECTS[result.instructions % len(OBJECTS)]
        result.instructions += graph.instruct(f"pick the {thing} from the placemat and place it on the plate").success
        graph.during(INSTRUCTION_PERIOD_S)
        use = graph.monitor.limit_use()
        result.use |= use
        if use.set_points and not use.kept:
            print(f"limit exceeded: {graph.monitor.keep_worst(graph.log_dir / 'excesses' / f'minute_{elapsed_min:.1f}.npz')}", flush=True)
        result.rejected_trajectories += len(graph.monitor.rejected)
        away = [s for s in graph.monitor.statuses if s.state != System1Status.STATE_RUNNING]
        result.seconds_not_running += INSTRUCTION_PERIOD_S * len(away) / max(len(graph.monitor.statuses), 1)
    ended = graph.system1
    result.chunks = ended.published_chunks - began.published_chunks
    result.rejected_chunks = ended.rejected_chunks - began.rejected_chunks
    result.lost_frames = ended.lost_frames - began.lost_frames
    result.lost_foresights = ended.lost_foresights - began.lost_foresights
    result.load_average = os.getloadavg()[0]
    return result
