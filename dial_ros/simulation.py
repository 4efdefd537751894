"""A running sim graph with an operator for trials, as a context: the demo and the evaluation over ROS begin and end with it."""

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.signals import SignalHandlerOptions

from dial_core.errors import DialError
from dial_ros.graph import NodeSpec, Value, environment, graph
from dial_ros.runner import Runner
from dial_ros.trials import TrialOperator

START_LIMIT_S = 120.0  # of wall time: importing torch takes long on a busy machine
LOG_LINES = 15


@contextmanager
def running_simulation(log_dir: Path, recording: bool, **chosen: Value) -> Iterator[TrialOperator]:
    """The sim graph, active, and an operator for its trials.

    Args:
        log_dir: folder for the nodes' logs.
        recording: whether the operator keeps pictures and foresights.
        chosen: arguments of the graph.

    Raises:
        DialError: a node died or did not become active; the message ends with its last log lines.
    """
    nodes = graph("sim", **chosen)
    _require_checkpoint(nodes)
    # A domain of our own, so that other simulations on this machine stay apart; 1 to 101 are safe on every system.
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.randint(1, 101)))
    for name, value in environment("sim").items():
        os.environ.setdefault(name, value)
    runner = Runner(nodes, environment("sim"), log_dir=log_dir)

    def check_alive() -> None:
        for name, status in runner.dead().items():
            raise DialError(f"node {name} ended with status {status}. The end of {log_dir / name}.log:\n{_tail(log_dir / f'{name}.log')}")

    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: started in the background, Python would ignore it
        signal.signal(number, _interrupt)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with runner:
            operator = TrialOperator(str(chosen.get("camera", "ego")), recording, check_alive)
            operator.wait_until_ready(START_LIMIT_S)
            yield operator
    finally:
        rclpy.shutdown()


def _require_checkpoint(nodes: Sequence[NodeSpec]) -> None:
    """A missing folder is told at once, not after the nodes have loaded torch."""
    for node in nodes:
        folder = Path(str(node.parameters.get("checkpoint", ".")))
        if "checkpoint" in node.parameters and not (folder / "config.json").is_file():
            raise DialError(
                f"{folder} holds no checkpoint (no config.json). Train one with `dial train`, or name another: --checkpoint FOLDER"
            )


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _tail(path: Path) -> str:
    return "\n".join(f"    {line}" for line in path.read_text(errors="replace").splitlines()[-LOG_LINES:])
