"""Context of a running sim graph with an operator for trials, used by the demo and the evaluation over ROS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dial_ros.bringup.graph import Value, graph
from dial_ros.tools.client import running
from dial_ros.tools.trials import TrialOperator

START_LIMIT_S = 300.0  # of wall time: importing torch takes long on a busy machine


@contextmanager
def running_simulation(log_dir: Path, recording: bool, **chosen: Value) -> Iterator[TrialOperator]:
    """Context that starts the sim graph, waits until it is active, and yields an operator for trials.

    Args:
        log_dir: folder for the nodes' logs.
        recording: whether the operator keeps images and foresights.
        chosen: arguments of the graph.

    Raises:
        DialError: a node died or did not become active; the message ends with its last log lines.
    """
    nodes = graph("sim", **chosen)
    with running(nodes, "sim", log_dir) as started:
        operator = TrialOperator(str(chosen.get("camera", "ego")), recording, started.check_alive)
        operator.wait_until_ready(START_LIMIT_S)
        yield operator
