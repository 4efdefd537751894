"""Whether a node keeps memory: configures and cleans up again and again, and reports what the process occupies after each cycle.

python -m dial_ros.benchmarks.configure_cycles --node system2 --cycles 20

A table, one JSON line last, and exit status 1 if the process grew by more than `--limit-mb` after the third cycle. The first three
are left out: libraries load and caches fill.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from dial_core.checkpoint.location import DEFAULT_CHECKPOINT, checkpoint_folder
from dial_core.errors import DialError
from dial_ros.node.lifecycle import DialNode
from dial_ros.tools.client import free_domain

NODES = {"system1": "System1Node", "system2": "System2Node"}
WARM_UP = 3  # cycles
LIMIT_MB = 30.0
MIB = 2**20


def resident_mb() -> float:
    """Resident memory of this process [MiB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def measure(name: str, cycles: int, checkpoint: str, runtime: str = "eager") -> list[float]:
    """Resident memory [MiB] after each of `cycles` configurations of a node. Raises DialError if it refuses one."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(free_domain()))
    values = {"checkpoint": checkpoint_folder(checkpoint), "runtime": runtime}
    parameters = [word for key, value in values.items() for word in ("-p", f"{key}:={value}")]
    rclpy.init(args=["--ros-args", *parameters], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node: DialNode = getattr(import_module(f"dial_ros.{name}.{name}_node"), NODES[name])()
        occupied = []
        for cycle in range(cycles):
            if node.trigger_configure() is not TransitionCallbackReturn.SUCCESS:
                raise DialError(f"{name} refused to configure in cycle {cycle}; its log says why")
            node.trigger_cleanup()
            occupied.append(resident_mb())
        node.destroy_node()
    finally:
        rclpy.shutdown()
    return occupied


def growth_mb(occupied: Sequence[float]) -> float:
    """Growth [MiB] from the end of the warm-up to the highest of the last three cycles."""
    return max(occupied[-3:]) - occupied[WARM_UP - 1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dial_ros.benchmarks.configure_cycles", description="Does a node keep memory?")
    parser.add_argument("--node", choices=list(NODES), default="system2", help="which node (default: %(default)s)")
    parser.add_argument("--cycles", type=int, default=20, help="configurations, at least 6 (default: %(default)s)")
    parser.add_argument("--checkpoint", default=DEFAULT_CHECKPOINT, help="model: a folder or a name (default: %(default)s)")
    parser.add_argument("--runtime", default="eager", help="of the node; auto keeps models until one is compiled (default: %(default)s)")
    parser.add_argument("--limit-mb", type=float, default=LIMIT_MB, help="growth that is tolerated [MiB] (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        occupied = measure(options.node, max(options.cycles, WARM_UP + 3), options.checkpoint, options.runtime)
    except DialError as error:
        print(f"[configure_cycles] {error}", file=sys.stderr)
        return 2
    print("| cycle | resident [MiB] |\n|---|---|")
    print("\n".join(f"| {cycle} | {mb:.0f} |" for cycle, mb in enumerate(occupied)))
    grown = growth_mb(occupied)
    print(json.dumps({"node": options.node, "cycles": len(occupied), "growth_mb": round(grown, 1), "limit_mb": options.limit_mb}))
    return 0 if grown <= options.limit_mb else 1


if __name__ == "__main__":
    raise SystemExit(main())
