"""Inputs and folders that exhaust or break a node: a compressed image that decodes to gigabytes, a recording whose folder goes."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from dial_ros.bringup.graph import graph as node_graph
from dial_ros.faults.checks import check_hold, check_recovery
from dial_ros.faults.corruptions import Corruption, decompression_bomb
from dial_ros.faults.graph_under_test import RUNNING, GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.priority_and_memory import peak_rss_mb, reset_peak, rss_mb
from dial_ros.srv import StartEpisode, StopEpisode

SIDE_PX = 12_000
GROWTH_LIMIT_MB = 60.0  # decoded, the image has 432 MB


@dataclass(frozen=True)
class DecompressionBomb:
    """The camera sends a valid PNG of 12000 x 12000 pixels."""

    name: str = f"compressed image of {SIDE_PX} x {SIDE_PX} pixels"
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Sends it in place of every frame; the robot must hold and both nodes keep their memory."""
        bomb = _bomb()  # takes seconds, in which the relay stands
        graph.run_freely()
        graph.monitor.begin()
        before_mb = {name: rss_mb(graph.pid(name)) for name in ("system1", "system2")}
        for name in before_mb:
            reset_peak(graph.pid(name))
        relay = graph.injector.relays["camera"]
        relay.corrupt(bomb)
        graph.until(lambda: relay.first_corrupted_ns is not None, "a frame")
        check_hold(graph, outcome, relay.first_corrupted_ns or 0)
        for name, before in before_mb.items():
            growth_mb = peak_rss_mb(graph.pid(name)) - before
            outcome.check(f"{name} keeps its memory", growth_mb < GROWTH_LIMIT_MB, f"{growth_mb:+.0f} MB at most")
        graph.injector.recover()
        check_recovery(graph, outcome, graph.monitor.now_ns)


@dataclass(frozen=True)
class RemovedRecording:
    """The folder of a recording is removed while it is written."""

    name: str = "recorder's folder removed"
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Records, removes the folder, stops, records again; the recorder must answer and live, and the robot continue."""
        with tempfile.TemporaryDirectory() as parent:
            directory = Path(parent) / "recordings"
            (spec,) = node_graph("record", use_sim_time=True, directory=str(directory))
            with graph.another(replace(spec, parameters=spec.parameters | {"wait_for_streams": False})) as recorder:
                process = recorder.process("recorder")
                graph.node.command(StartEpisode, "recorder/start_episode", StartEpisode.Request(), 60)
                graph.during(0.5)
                shutil.rmtree(directory)
                graph.during(1.0)
                stopped = graph.node.call(StopEpisode, "recorder/stop_episode", StopEpisode.Request(), 20)
                outcome.check("reports the loss", not stopped.success and stopped.message, stopped.message)
                again = graph.node.call(StartEpisode, "recorder/start_episode", StartEpisode.Request(), 20)
                outcome.check("starts again or answers why not", again.success or again.message, again.message)
                outcome.check("lives", process.poll() is None, str(process.poll()))
        stood_for = sorted({status.reason for status in graph.monitor.statuses if status.state != RUNNING})
        outcome.check("System-1 beside it continues", not stood_for, "; ".join(stood_for))
        check_recovery(graph, outcome, graph.monitor.now_ns)


@cache
def _bomb() -> Corruption:
    return decompression_bomb(SIDE_PX)


DECOMPRESSION: tuple[DecompressionBomb, ...] = (DecompressionBomb(),)
RECORDINGS: tuple[RemovedRecording, ...] = (RemovedRecording(),)
