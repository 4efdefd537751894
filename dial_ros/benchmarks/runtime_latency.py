"""What an exported program changes on the robot: latency from camera to command, with each runtime, in alternating runs of the sim graph.

python -m dial_ros.benchmarks.runtime_latency --runtimes eager,aoti --pairs 2 --seconds 20

Nodes cannot change their runtime, so every phase starts the graph again, with the same scene and instruction in each phase of a
round; phases alternate, so that other load on the machine meets all runtimes alike. Programs must have been exported. Latencies are
in the robot's time, which is simulated; the real-time factor says how it relates to the wall's. The last line is JSON.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.errors import DialError
from dial_core.inference.programs import runtime_for
from dial_ros.bringup.graph import graph
from dial_ros.msg import System1Status
from dial_ros.srv import ResetWorld, SetInstruction
from dial_ros.tools.client import RunningGraph, running
from dial_ros.tools.operate import OperatorShell

START_S = 300.0
RUNNING_S = 60.0
SETTLED_S = 3.0  # after an instruction, before chunks count [s]
FIRST_SEED = 100_000


@dataclass(frozen=True)
class LatencyPhase:
    """One run of the graph with one runtime. Medians over its chunks and foresights, in ms.

    Attributes:
        runtime: of both nodes.
        camera_to_command_ms: from the image's stamp to the publishing of the trajectories.
        system1_ms, system2_ms: of the inference alone.
        camera_to_foresight_ms: from the image's stamp to the publishing of the foresight.
        chunk_hz: chunks a second of wall time.
        real_time_factor: simulated over wall time.
        chunks: number of chunks measured.
    """

    runtime: str
    camera_to_command_ms: float
    system1_ms: float
    system2_ms: float
    camera_to_foresight_ms: float
    chunk_hz: float
    real_time_factor: float
    chunks: int


class LatencyListener(OperatorShell):
    """Resets the world, instructs, and collects what the nodes report."""

    def __init__(self, started: RunningGraph) -> None:
        super().__init__()
        self._started = started

    def measure(self, runtime: str, seed: int, seconds: float) -> LatencyPhase:
        """One phase of `seconds` [s] of wall time. Raises DialError if the graph does not come to move or sends nothing."""
        self.wait_until(lambda: self.system1 and self.system1.state == System1Status.STATE_DISARMED, START_S, "System-1")
        scene = self.command(ResetWorld, "mujoco_robot/reset", ResetWorld.Request(seed=seed, target=-1), 30.0)
        self._listen(1.0)
        self.command(SetInstruction, "system2/set_instruction", SetInstruction.Request(text=scene.instruction), 30.0)
        self.wait_until(lambda: self.system1 and self.system1.state == System1Status.STATE_RUNNING, RUNNING_S, "System-1 to run")
        self._listen(SETTLED_S)
        self._started.check_alive()
        return self._phase(runtime, seconds)

    def _phase(self, runtime: str, seconds: float) -> LatencyPhase:
        assert self.system1 is not None
        begin_s, begin_ns, published = time.monotonic(), to_ns(self.system1.stamp), self.system1.published_chunks
        ones, twos = self._listen(seconds)
        passed_s = time.monotonic() - begin_s
        if not (ones and twos):
            raise DialError(f"{runtime}: {len(ones)} chunks and {len(twos)} foresights in {seconds:.0f} s; the nodes' logs say why")
        return LatencyPhase(
            runtime,
            _median_ms([one.camera_to_command_latency for one in ones]),
            _median_ms([one.inference_latency for one in ones]),
            _median_ms([two.inference_latency for two in twos]),
            _median_ms([two.camera_to_foresight_latency for two in twos]),
            round((self.system1.published_chunks - published) / passed_s, 2),
            round((to_ns(self.system1.stamp) - begin_ns) / NANOSECONDS / passed_s, 2),
            len(ones),
        )

    def _listen(self, seconds: float) -> tuple[list, list]:
        """The status of every chunk and of every foresight that was published meanwhile."""
        end_s, ones, twos = time.monotonic() + seconds, [], []
        known = [self.system1.published_chunks if self.system1 else 0, self.system2.published_foresights if self.system2 else 0]
        while time.monotonic() < end_s:
            self.spin_once()
            if self.system1 is not None and self.system1.published_chunks != known[0]:
                known[0] = self.system1.published_chunks
                ones.append(self.system1)
            if self.system2 is not None and self.system2.published_foresights != known[1]:
                known[1] = self.system2.published_foresights
                twos.append(self.system2)
        return ones, twos


def report(phases: Sequence[LatencyPhase], console: Console) -> dict:
    """Prints a table; returns the phases and, against the first runtime of the same round, each runtime's median change [share]."""
    columns = ("camera to command", "System-1", "System-2", "camera to foresight")
    table = Table("runtime", *(f"{name} \\[ms]" for name in columns), "chunks [Hz]", "real time", box=None)
    for phase in phases:
        times = (phase.camera_to_command_ms, phase.system1_ms, phase.system2_ms, phase.camera_to_foresight_ms)
        table.add_row(phase.runtime, *(f"{time_ms:.0f}" for time_ms in times), f"{phase.chunk_hz:.1f}", f"{phase.real_time_factor:.2f}")
    console.print(table)
    runtimes = list(dict.fromkeys(phase.runtime for phase in phases))
    by_runtime = {runtime: [phase for phase in phases if phase.runtime == runtime] for runtime in runtimes}
    changes = {
        runtime: {
            name: round(
                float(np.median([getattr(b, name) / getattr(a, name) - 1 for a, b in zip(by_runtime[runtimes[0]], own, strict=True)])), 3
            )
            for name in ("camera_to_command_ms", "system1_ms", "system2_ms", "camera_to_foresight_ms")
        }
        for runtime, own in by_runtime.items()
        if runtime != runtimes[0]
    }
    return {"phases": [asdict(phase) for phase in phases], "against": runtimes[0], "changes": changes, "cores": os.cpu_count() or 0}


def main(words: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--runtimes", default="eager,exported", help="runtimes in turn; changes are against the first")
    parser.add_argument("--pairs", type=int, default=2, help="rounds, in each of which every runtime runs once")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured part of a phase [s of wall time]")
    parser.add_argument("--checkpoint", default="", help="folder or name; the shipped dial-tiny if left out")
    parser.add_argument("--out", type=Path, default=Path("out/runtime_latency"), help="folder of the nodes' logs")
    chosen = parser.parse_args(words)
    console, phases = Console(), []
    try:
        for round_ in range(chosen.pairs):
            for name in chosen.runtimes.split(","):
                runtime = runtime_for(name, torch.device("cpu"))
                nodes = graph("sim", runtime=runtime, checkpoint=chosen.checkpoint)
                with running(nodes, "sim", chosen.out / f"{round_}-{runtime}") as started:
                    listener = LatencyListener(started)
                    phases.append(listener.measure(runtime, FIRST_SEED + round_, chosen.seconds))
                    listener.destroy_node()
                console.print(phases[-1], soft_wrap=True)
    except DialError as error:
        console.print(f"runtime_latency: {error}", markup=False)
        return 1
    print(json.dumps(report(phases, console)))
    return 0


def _median_ms(latencies_s: Sequence[float]) -> float:
    return round(1e3 * float(np.median(latencies_s)), 1)


if __name__ == "__main__":
    raise SystemExit(main())
