"""Starts a graph where `ros2 launch` is not installed: the same processes, from the same data (graph.py), with the standard library.

python -m dial_ros.bringup.runner sim                       (arguments: --help)

Lines of the nodes appear with their name in front. SIGINT and SIGTERM are passed on; when a required node dies, all are
stopped and its status becomes the runner's.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TextIO

from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.errors import DialError
from dial_ros.bringup.graph import ARGUMENTS, NodeSpec, Value, environment, graph

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def command(node: NodeSpec, namespace: str = "") -> list[str]:
    """Returns the command line of one node, as `ros2 run` would build it."""
    rules = [f"__node:={node.name}", *(f"{ours}:={theirs}" for ours, theirs in node.remappings.items())]
    if namespace:
        rules.append(f"__ns:=/{namespace.strip('/')}")
    line = [sys.executable, "-m", node.module, "--ros-args"]
    if node.parameter_file is not None:
        line += ["--params-file", str(node.parameter_file)]
    if node.enclave:
        line += ["--enclave", node.enclave]
    for rule in rules:
        line += ["-r", rule]
    for name, value in node.parameters.items():
        line += ["-p", f"{name}:={_yaml(value)}"]
    return line


class Runner:
    """The running processes of a graph.

    Start it in the main thread: the kernel stops the nodes when the thread that started them is gone, so that none is
    left behind even if this process is killed.
    """

    def __init__(self, nodes: Sequence[NodeSpec], variables: dict[str, str], namespace: str = "", log_dir: Path | None = None):
        """Nothing is started yet.

        Args:
            nodes: what to start, in order.
            variables: environment variables for the nodes, where not set already.
            namespace: ROS namespace of all nodes.
            log_dir: folder for one `<node>.log` each; without it the lines go to stdout with the node's name in front.
        """
        self._nodes = {node.name: node for node in nodes}
        self._environment = variables | dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
        self._namespace = namespace
        self._log_dir = log_dir
        self._processes: dict[str, subprocess.Popen] = {}
        self._printers: list[threading.Thread] = []
        self.stopping = False  # `stop` has begun

    def start(self) -> None:
        """Starts every node and returns at once."""
        for node in self._nodes.values():
            self._processes[node.name] = self._spawn(node)

    def dead(self) -> dict[str, int]:
        """Returns the exit status, by name, of every required node that has ended; negative: the signal that ended it."""
        ended = {name: process.poll() for name, process in self._processes.items() if self._nodes[name].required}
        return {name: status for name, status in ended.items() if status is not None}

    def send(self, signal_number: int) -> None:
        """Sends a signal to every node that still runs."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal_number)

    def send_to(self, name: str, signal_number: int) -> None:
        """Sends a signal to one node, if it still runs."""
        if self._processes[name].poll() is None:
            self._processes[name].send_signal(signal_number)

    def process(self, name: str) -> subprocess.Popen:
        """Returns the newest process of a node."""
        return self._processes[name]

    @property
    def processes(self) -> list[subprocess.Popen]:
        """The newest process of every node."""
        return list(self._processes.values())

    def start_again(self, name: str) -> None:
        """Restarts a node that has ended; its log is appended to."""
        self._processes[name] = self._spawn(self._nodes[name], log_mode="a")

    def wait(self, stop_requested: threading.Event, period_s: float = 0.1) -> dict[str, int]:
        """Blocks until `stop_requested` is set or a required node has ended; returns `dead()`."""
        while not stop_requested.wait(period_s) and not self.dead():
            pass
        return self.dead()

    def stop(self, grace_s: float | None = None) -> dict[str, int]:
        """Stops every node with SIGINT, and with SIGKILL after `grace_s` [s], by default its own; returns their exit statuses by name.

        A KeyboardInterrupt meanwhile is passed on as a further SIGINT: a node that still completes something then ends at once.
        """
        self.stopping = True
        self.send(signal.SIGINT)
        begun_s = time.monotonic()
        for name, process in self._processes.items():
            self._await_end(process, begun_s + (self._nodes[name].grace_s if grace_s is None else grace_s))
        for printer in self._printers:
            printer.join(timeout=1.0)
        return {name: process.returncode for name, process in self._processes.items()}

    def __enter__(self) -> "Runner":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def _await_end(self, process: subprocess.Popen, deadline_s: float) -> None:
        while process.poll() is None:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            except KeyboardInterrupt:
                self.send(signal.SIGINT)

    def _spawn(self, node: NodeSpec, log_mode: str = "w") -> subprocess.Popen:
        log_file: IO[str] | None = None
        if self._log_dir is not None:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            log_file = (self._log_dir / f"{node.name}.log").open(log_mode)
        process = subprocess.Popen(
            command(node, self._namespace),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=log_file or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the runner alone, which passes it on once
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        if log_file is not None:
            log_file.close()
        else:
            self._printers.append(threading.Thread(target=_print_lines, args=(node.name, process.stdout), daemon=True))
            self._printers[-1].start()
        return process


def run(kind: str, **chosen: Value) -> int:
    """Runs the graph `kind` until a signal or the death of a required node; returns the exit status."""
    nodes = graph(kind, **chosen)
    for doubt in doubts(nodes):
        print(f"[runner] warning: {doubt}", file=sys.stderr, flush=True)
    stop_requested = threading.Event()
    runner = Runner(nodes, environment(kind), namespace=str(chosen.get("namespace", "")))

    def stop(*_) -> None:
        if runner.stopping:  # asked again, or while the others end because one died; before, stopping sends it
            runner.send(signal.SIGINT)
        stop_requested.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with runner:
        if str(chosen.get("autostart", True)).lower() == "true":
            _announce(
                runner, [node.name for node in nodes if node.required], str(chosen.get("namespace", "")), environment(kind), stop_requested
            )
        dead = runner.wait(stop_requested)
    for name, status in dead.items():
        print(f"[runner] required node {name} ended with status {status}: stopped the others", file=sys.stderr, flush=True)
    if not dead:
        return 0
    return next((status if status > 0 else 128 - status for status in dead.values() if status), 1)


def doubts(nodes: Sequence[NodeSpec]) -> list[str]:
    """What to know before the nodes start: a simulated task that the policy's checkpoint was not trained on."""
    parameters = {node.name: node.parameters for node in nodes}
    task, checkpoint = (parameters.get(name, {}).get(key) for name, key in (("mujoco_robot", "task"), ("system2", "checkpoint")))
    warning = TrainedOn.load(str(checkpoint)).task_warning(str(task)) if task and checkpoint else ""
    return [warning] if warning else []


def _announce(runner: Runner, names: list[str], namespace: str, variables: dict[str, str], stop_requested: threading.Event) -> None:
    """Waits until every node is active, and prints so and what to do next; returns early at a stop or the death of a node."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    from dial_ros.bringup.readiness import Readiness  # rclpy reads the environment

    readiness = Readiness(names, namespace)
    try:
        while not (ready := readiness.reached(0.2)) and not stop_requested.is_set() and not runner.dead():
            pass
    finally:
        readiness.close()
    if ready:
        option = f" --namespace {namespace}" if namespace else ""
        scene = f' "{readiness.instruction}"' if readiness.instruction else " TEXT"
        instruct = f"dial instruct{option}{scene}" if "system2" in names else "dial record --help"
        print(f"[runner] ready: all nodes are active. Next, in another shell: {instruct}", flush=True)
        print(f"[runner] dial status{option}, dial pause{option}, dial stop{option}; Ctrl-C here ends all nodes", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dial_ros.bringup.runner", description="Runs a graph of nodes without ros2 launch.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, options in ARGUMENTS.items():
        sub = kinds.add_parser(kind, prog=os.environ.get("DIAL_PROG"), formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        for option in options:
            sub.add_argument(f"--{option.name.replace('_', '-')}", dest=option.name, default=option.default, help=option.description)
    chosen = vars(parser.parse_args(arguments))
    try:
        return run(chosen.pop("kind"), **chosen)
    except DialError as error:
        print(f"[runner] {error}", file=sys.stderr)
        return 2


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _print_lines(name: str, stream: TextIO) -> None:
    for line in stream:
        print(f"[{name}] {line}", end="", flush=True)


def _yaml(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"  # quoted, or a text such as 1e3 or "" would change its type
    return repr(value)


if __name__ == "__main__":
    raise SystemExit(main())
