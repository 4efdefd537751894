"""What the operator page costs: its CPU with and without a viewer, and System-1's rate and latency, in alternating phases of one run.

python -m dial_ros.benchmarks.page_cost --pairs 4 --seconds 20

The viewer is a websocket client that takes everything the page sends, as a browser on another machine would; it draws nothing. The
robot gets a new instruction in every phase, so that it moves and everything on the page changes. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import re
import threading
import time
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from dial_core.errors import DialError
from dial_ros.bringup.graph import graph
from dial_ros.msg import System1Status
from dial_ros.operator.operator_node import free_port
from dial_ros.srv import ResetWorld, SetInstruction
from dial_ros.tools.client import RunningGraph, running
from dial_ros.tools.operate import OperatorShell

START_S = 300.0
RUNNING_S = 60.0
SETTLED_S = 4.0  # after an instruction or a viewer's arrival, before a phase counts [s]
CLIENT_ID = re.compile(r"client_id[\"']?\s*:\s*[\"']([0-9a-f-]{36})")


@dataclass(frozen=True)
class Phase:
    """One phase: CPU of the page [share of a core], and System-1's chunks [Hz] and latency from camera to command [s]."""

    viewer: bool
    page_cpu: float
    chunk_hz: float
    latency_s: float


class Viewer:
    """A visitor of the page without a screen. As a context."""

    def __init__(self, url: str) -> None:
        self._url, self.messages = url, 0
        self._end, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._visit()), daemon=True)

    def __enter__(self) -> "Viewer":
        self._thread.start()
        if not self._ready.wait(20.0):
            raise DialError(f"{self._url} accepted no viewer in 20 s")
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    async def _visit(self) -> None:
        import socketio

        with urllib.request.urlopen(self._url) as page:
            found = CLIENT_ID.search(page.read().decode())
        if found is None:
            raise DialError(f"{self._url} is no page of NiceGUI")
        client = socketio.AsyncClient()

        def count(*_: object) -> None:
            self.messages += 1

        client.on("*", count)
        who = {"client_id": found[1], "tab_id": str(uuid.uuid4()), "document_id": str(uuid.uuid4()), "next_message_id": 0}
        query = "&".join(f"{key}={value}" for key, value in who.items())
        await client.connect(f"{self._url}?{query}", socketio_path="/_nicegui_ws/socket.io", transports=["websocket"])
        await client.call("handshake", who)
        self._ready.set()
        while not self._end.is_set():
            await asyncio.sleep(0.5)
            await client.emit("ack", {"client_id": found[1], "next_message_id": self.messages})
        await client.disconnect()


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, in user and kernel mode [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class PageCost(OperatorShell):
    """Instructs, listens and measures."""

    def __init__(self, started: RunningGraph, url: str) -> None:
        super().__init__()
        self._started, self._url, self._seed = started, url, 100_000
        self._pid = started.runner.process("operator").pid

    def phase(self, viewer: bool, seconds: float) -> Phase:
        """Measures for `seconds` [s] of a fresh scene, with or without a viewer."""
        self._seed += 1
        scene = self.command(ResetWorld, "mujoco_robot/reset", ResetWorld.Request(seed=self._seed, target=-1), 30.0)
        self._listen(1.0)
        self.command(SetInstruction, "system2/set_instruction", SetInstruction.Request(text=scene.instruction), 30.0)
        if not viewer:
            return self._measure(viewer, seconds)
        with Viewer(self._url) as visitor:
            measured = self._measure(viewer, seconds)
            if visitor.messages < seconds:
                raise DialError(f"the page sent only {visitor.messages} messages in {seconds:.0f} s: nothing was measured")
        return measured

    def _measure(self, viewer: bool, seconds: float) -> Phase:
        self._listen(SETTLED_S)
        self._started.check_alive()
        assert self.system1 is not None
        self.wait_until(lambda: self.system1 and self.system1.state == System1Status.STATE_RUNNING, RUNNING_S, "System-1 to run")
        begin_s, used_s, chunks = time.monotonic(), cpu_s(self._pid), self.system1.published_chunks
        latencies_s = self._listen(seconds)
        passed_s = time.monotonic() - begin_s
        cpu = (cpu_s(self._pid) - used_s) / passed_s
        return Phase(viewer, cpu, (self.system1.published_chunks - chunks) / passed_s, float(np.median(latencies_s)))

    def _listen(self, seconds: float) -> list[float]:
        """Latencies [s] of the chunks that were sent meanwhile."""
        end_s, latencies_s, known = time.monotonic() + seconds, [], -1
        while time.monotonic() < end_s:
            self.spin_once()
            status = self.system1
            if status is not None and status.published_chunks != known:
                known = status.published_chunks
                latencies_s.append(float(status.camera_to_command_latency))
        return latencies_s or [-1.0]


def report(phases: Sequence[Phase], console: Console) -> dict[str, float]:
    """Prints a table, and returns its last figures: means by viewer, and what the viewer changes [share], by paired medians."""
    table = Table("", "page, share of a core", "chunks [Hz]", "camera to command \\[ms]", box=None)
    for phase in phases:
        name = "one viewer" if phase.viewer else "no viewer"
        table.add_row(name, f"{100 * phase.page_cpu:.1f} %", f"{phase.chunk_hz:.2f}", f"{1000 * phase.latency_s:.0f}")
    console.print(table)
    without, with_one = ([phase for phase in phases if phase.viewer is viewer] for viewer in (False, True))
    pairs = list(zip(without, with_one, strict=True))
    return {
        "page_cpu_no_viewer": round(float(np.mean([phase.page_cpu for phase in without])), 4),
        "page_cpu_one_viewer": round(float(np.mean([phase.page_cpu for phase in with_one])), 4),
        "chunk_rate_change": round(float(np.median([b.chunk_hz / a.chunk_hz - 1 for a, b in pairs])), 4),
        "latency_change": round(float(np.median([b.latency_s / a.latency_s - 1 for a, b in pairs])), 4),
        "pairs": len(pairs),
        "cores": os.cpu_count() or 0,
    }


def main(words: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4, help="phases without and with a viewer, in turn")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a phase [s]")
    parser.add_argument("--out", type=Path, default=Path("out/page_cost"), help="folder of the nodes' logs")
    chosen = parser.parse_args(words)
    console, port = Console(), free_port("127.0.0.1")
    try:
        with running(graph("sim", page=True, page_port=port), "sim", chosen.out) as started:
            bench = PageCost(started, f"http://127.0.0.1:{port}/")
            bench.wait_until(lambda: bench.system1 and bench.system1.state == System1Status.STATE_DISARMED, START_S, "System-1")
            phases = [bench.phase(viewer, chosen.seconds) for _ in range(chosen.pairs) for viewer in (False, True)]
            bench.destroy_node()
    except DialError as error:
        console.print(f"page_cost: {error}", markup=False)
        return 1
    print(json.dumps(report(phases, console)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
