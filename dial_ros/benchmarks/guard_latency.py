"""What the guard costs: time from publishing a motion (one trajectory a controller) until controllers have all of it, with and without.

python -m dial_ros.benchmarks.guard_latency --rounds 200

Every round sends one motion directly and one through the guard, in turns, so that both meet the same load. The times include
publishing, DDS and receiving in this process; their difference is what the guard adds. A table, and one JSON line last.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import JointMotion
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment, load_embodiment
from dial_ros.bringup.graph import NodeSpec
from dial_ros.node import qos
from dial_ros.node.messages import to_time
from dial_ros.node.strict_cdr import trajectory_bytes
from dial_ros.node.trajectory import TrajectorySplitter
from dial_ros.tools.client import ClientNode, RunningGraph, running

POINTS, STEP_S = 34, 0.025  # of a trajectory as System-1 sends it
JOINTS_PERIOD_S, ROUND_S = 0.01, 0.15
LONGEST_S = 2.0


class ControllerStub(ClientNode):
    """Stands for robot, System-1 and controllers: joint states, motions, and what arrives of them."""

    def __init__(self, embodiment: Embodiment, graph: RunningGraph) -> None:
        super().__init__("guard_latency", graph.check_alive)
        self._embodiment, self._splitter = embodiment, TrajectorySplitter(embodiment)
        self._joints_out = self.create_publisher(JointState, "joint_states", qos.SENSOR)
        self.create_timer(JOINTS_PERIOD_S, self._publish_joints)
        self._names = [controller.name for controller in embodiment.controllers]
        self._outputs = {
            way: {name: self.create_publisher(JointTrajectory, f"{way}/{name}/joint_trajectory", qos.LATEST) for name in self._names}
            for way in ("direct", "guarded")
        }
        self._arrived: dict[str, int] = {}
        for name in self._names:
            for topic in (f"direct/{name}/joint_trajectory", f"{name}/joint_trajectory"):
                self.create_subscription(JointTrajectory, topic, partial(self._on_trajectory, name), qos.LATEST, raw=True)
        self.state = None
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENTS)

    def send(self, way: str) -> float:
        """Time [ms] until the last controller has its part of one motion that is sent `direct` or `guarded`."""
        rows = np.tile(self._embodiment.home_position, (POINTS, 1))
        motion = JointMotion(time.time_ns(), STEP_S * np.arange(POINTS), rows, np.zeros_like(rows))
        messages = {name: trajectory_bytes(message) for name, message in self._splitter.messages(motion).items()}
        self._arrived.clear()
        started_ns = time.perf_counter_ns()
        for name, message in messages.items():
            self._outputs[way][name].publish(message)
        self.wait_until(lambda: len(self._arrived) == len(self._names), LONGEST_S, f"a motion sent {way}; the guard reports: {self.state}")
        return (max(self._arrived.values()) - started_ns) / 1e6

    def rest(self, seconds: float) -> None:
        """Publishes joint states for `seconds` [s]."""
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            self.spin_once()

    def _publish_joints(self) -> None:
        message = JointState(name=list(self._embodiment.joint_names), position=self._embodiment.home_position.tolist())
        message.header.stamp = to_time(time.time_ns())
        self._joints_out.publish(message)

    def _on_trajectory(self, name: str, _: bytes) -> None:
        self._arrived[name] = time.perf_counter_ns()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.state = next((status.message for status in message.status if status.name.endswith("/guard")), self.state)


def measure(rounds: int, robot: str, log_dir: Path) -> dict[str, list[float]]:
    """Latencies [ms] of `rounds` motions by way. Raises DialError if the guard does not pass one."""
    guard = NodeSpec("guard", "dial_ros.guard.guard_node", None, {"autostart": True, "embodiment": robot})
    latencies: dict[str, list[float]] = {"direct": [], "guarded": []}
    with running([guard], "sim", log_dir) as graph:
        stub = ControllerStub(load_embodiment(robot), graph)
        stub.wait_until(lambda: (stub.state or "").startswith("passing"), 60.0, "the guard to be active")
        stub.rest(1.0)
        for k in range(rounds + 1):
            for way in latencies:
                latency_ms = stub.send(way)
                if k:  # the first motion meets empty caches
                    latencies[way].append(latency_ms)
                stub.rest(ROUND_S / 2)
        stub.destroy_node()
    return latencies


def table(latencies: dict[str, list[float]]) -> str:
    """Median, 99th percentile and maximum by way, and what the guard adds in the median."""
    rows = ["| | median [ms] | p99 [ms] | longest [ms] |", "|---|---|---|---|"]
    for way, values in latencies.items():
        rows.append(f"| {way} | {np.median(values):.2f} | {np.percentile(values, 99):.2f} | {max(values):.2f} |")
    added_ms = np.median(np.subtract(latencies["guarded"], latencies["direct"]))
    return "\n".join([*rows, f"\nThe guard adds {added_ms:.2f} ms (median of paired differences)."])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dial_ros.benchmarks.guard_latency", description="What the guard costs in latency.")
    parser.add_argument("--rounds", type=int, default=200, help="motions on each way (default: %(default)s)")
    parser.add_argument("--robot", default="gr1", help="embodiment (default: %(default)s)")
    parser.add_argument("--log-dir", type=Path, default=Path("out/guard_latency"), help="log of the guard (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        latencies = measure(options.rounds, options.robot, options.log_dir)
    except DialError as error:
        print(f"[guard_latency] {error}", file=sys.stderr)
        return 2
    embodiment = load_embodiment(options.robot)
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    print(f"{options.robot}: {len(embodiment.controllers)} controllers, {len(embodiment.joints)} joints, {POINTS} points; {machine}\n")
    print(table(latencies))
    summary = {way: {"median_ms": float(np.median(v)), "p99_ms": float(np.percentile(v, 99))} for way, v in latencies.items()}
    print(json.dumps({"rounds": options.rounds, "machine": machine} | summary))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
