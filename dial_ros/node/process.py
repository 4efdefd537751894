"""Runs a node as a process: start, autostart, shutdown by signal or with its parent process."""

import ctypes
import faulthandler
import gc
import math
import os
import signal
import sys
import time
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from dial_ros.node.lifecycle import DialNode

LISTEN_S = 5.0  # between configure and activate of an autostart; a robot that comes later is checked when it comes
DEPARTED_S = 22.0  # an autostart waits so long for other publishers to leave: one that was killed leaves when its lease ends
GOODBYE_S = 3.0  # for the whole end, DDS included: less than a node's `grace_s`, after which the launch files escalate to SIGTERM
STALLED_S = 30.0  # work that is completed before has so long to advance; a disk may take that for one flush
ANNOUNCED_S = 1.0  # between two lines about it
AGAIN_S = 1.0  # signals within this time are one request: a service manager and a launcher may both send one
END_WITH_PARENT = "DIAL_END_WITH_PARENT"  # environment variable: set to 1 by whoever starts a graph


def run(make_node: Callable[[], DialNode], arguments: list[str] | None = None) -> int:
    """Runs a node until SIGINT, SIGTERM or its failure. Returns the exit status: 0, or 1 if it failed or could not start."""
    orphaned = _parent_watch()
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    stop: list[float] = []  # when a signal came [s]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(time.monotonic()))
    try:
        node = make_node()
    except Exception as error:  # a parameter of the wrong type or out of range; a broken installation
        rclpy.logging.get_logger("dial_ros").fatal(f"the node cannot start: {error}")
        faulthandler.dump_traceback_later(GOODBYE_S, exit=True)  # as in `_end`
        rclpy.shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.value("autostart") and not _started(node, executor, stop):
            return 1
        while not stop and node.failure is None:
            executor.spin_once(timeout_sec=0.2)
            if orphaned():
                node.get_logger().warning("the process that started this node has ended: ending too")
                break
        return 0 if node.failure is None else 1
    finally:
        try:
            _complete(node, executor, stop)
        finally:
            _end(node, executor)


def _parent_watch() -> Callable[[], bool]:
    """Returns a function that says whether the parent process has ended; always false unless the parent asked to be watched.

    `ros2 launch` killed by SIGTERM or SIGKILL leaves its nodes running, and a robot with them.
    """
    if os.environ.get(END_WITH_PARENT) != "1":
        return lambda: False
    parent = os.getppid()
    return lambda: os.getppid() != parent


def _started(node: DialNode, executor: SingleThreadedExecutor, stop: list[float]) -> bool:
    """Configures, waits briefly for the input that `activate` checks, and activates. Returns False if a transition fails."""
    if node.trigger_configure() is not TransitionCallbackReturn.SUCCESS:
        return False
    deadline_s = time.monotonic() + LISTEN_S
    while not (stop or node.listened() or time.monotonic() > deadline_s):
        executor.spin_once(timeout_sec=0.05)
    departed_s = time.monotonic() + DEPARTED_S
    while not stop and node.conflict() and time.monotonic() < departed_s:
        executor.spin_once(timeout_sec=0.05)
    return bool(stop) or node.trigger_activate() is TransitionCallbackReturn.SUCCESS


def _complete(node: DialNode, executor: SingleThreadedExecutor, stop: list[float]) -> None:
    """Executes the node until it has completed its work, as a recorder its bag; gives up at a further signal, or if nothing advances."""
    announced_s = advanced_s = time.monotonic()
    asked_s, least = stop[0] if stop else advanced_s, math.inf
    while (work := node.unfinished()) is not None:
        now_s = time.monotonic()
        if work.left < least:
            least, advanced_s = work.left, now_s
        asked_again = any(at_s > asked_s + AGAIN_S for at_s in stop)
        if asked_again or now_s > advanced_s + STALLED_S:
            why = "asked to end again" if asked_again else f"nothing has advanced for {STALLED_S:.0f} s"
            node.get_logger().error(f"{why}; given up: {work.what}")
            node.give_up()
            return
        if now_s > announced_s + ANNOUNCED_S:
            node.get_logger().warning(f"ending after {work.what}; Ctrl-C again ends at once")
            announced_s = now_s
        executor.spin_once(timeout_sec=0.05)


def _end(node: DialNode, executor: SingleThreadedExecutor) -> None:
    """Shuts down in order: deactivate (System-1 sends a decelerating hold), clean up, leave the DDS domain.

    Fast DDS may wait for ever for shared memory that a killed process left: after GOODBYE_S the process ends all the same,
    and says where it was.
    """
    faulthandler.dump_traceback_later(GOODBYE_S, exit=True)
    if node.active:
        node.trigger_deactivate()
    node.release()
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    faulthandler.cancel_dump_traceback_later()


def return_memory() -> None:
    """Gives what a released model occupied back to the system.

    glibc keeps freed memory: weights of many sizes leave gaps that the next model does not fit into, and a process that is
    configured again and again grows by megabytes each time. torch keeps freed GPU memory as well, which another process then lacks.
    """
    gc.collect()  # a model lies in cycles of references, and until it is collected there is nothing to give back
    torch = sys.modules.get("torch")  # importing it here would take seconds, and what never loaded it holds no model
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; another libc returns memory by itself or cannot
    if trim is not None:
        trim(0)


def one_thread() -> None:
    """Limits torch to one thread: two threads beside a busy core are an order of magnitude slower."""
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
