"""For programs around the nodes: a graph's processes for as long as a context lasts, waiting while spinning, calling services."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from dial_core.errors import DialError
from dial_ros.bringup.graph import NodeSpec, environment
from dial_ros.bringup.runner import Runner

ANSWER_S = 60.0  # of wall time, for a service to be there and again for its answer: a node may be importing torch
LOG_LINES = 15


class WaitingNode(Node):
    """The node of a program that waits for what it asked for. It spins itself; a robot's own nodes never wait like that."""

    def __init__(self, name: str, check_alive: Callable[[], None] = lambda: None) -> None:
        """`check_alive` is called while waiting and raises DialError when there is nothing left to wait for."""
        super().__init__(name)
        self._check_alive = check_alive
        self._own_executor = SingleThreadedExecutor()
        self._own_executor.add_node(self)
        self._clients_by_service: dict[str, Client] = {}

    def spin_once(self) -> None:
        """Takes in what arrives within 50 ms."""
        self._own_executor.spin_once(timeout_sec=0.05)
        self._check_alive()

    def wait_until(self, done: Callable[[], object], limit_s: float, what: str) -> None:
        """Spins until `done()` is true. Raises DialError, which names `what`, after `limit_s` [s] of wall time."""
        deadline_s = time.monotonic() + limit_s
        while not done():
            self.spin_once()
            if time.monotonic() > deadline_s:
                raise DialError(f"waited {limit_s:.0f} s in vain for {what}; the nodes' logs say more")

    def call(self, kind: type, service: str, request):
        """The response of a service, whatever it says. Raises DialError if it is not there or does not answer."""
        if service not in self._clients_by_service:
            self._clients_by_service[service] = self.create_client(kind, service)
        client = self._clients_by_service[service]
        self.wait_until(client.service_is_ready, ANSWER_S, f"service {service}")
        future = client.call_async(request)
        self.wait_until(future.done, ANSWER_S, f"an answer of {service}")
        return future.result()

    def command(self, kind: type, service: str, request):
        """As `call`, for a request that must be granted: a refusal is a DialError too."""
        response = self.call(kind, service, request)
        if not response.success:
            raise DialError(f"{service} refused: {response.message}")
        return response

    def destroy_node(self) -> None:
        self._own_executor.shutdown()
        super().destroy_node()


@contextmanager
def running(nodes: Sequence[NodeSpec], kind: str, log_dir: Path | None = None) -> Iterator[Callable[[], None]]:
    """The processes of a graph, and rclpy in this one. SIGINT and SIGTERM become KeyboardInterrupt.

    Args:
        nodes: what to start, of the graph `kind`. A `sim` gets a DDS domain of its own, unless the user has set one.
        log_dir: as of `Runner`.

    Yields:
        A function that raises DialError if a required node has ended, with the last lines of its log.
    """
    variables = environment(kind)
    if kind == "sim":  # other simulations on this machine stay apart; 1 to 101 are safe on every system
        variables["ROS_DOMAIN_ID"] = str(random.randint(1, 101))
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    # SIGINT too: started in the background, Python would ignore it.
    handlers = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    runner = Runner(nodes, variables, log_dir=log_dir)

    def check_alive() -> None:
        for name, status in runner.dead().items():
            raise DialError(f"node {name} ended with status {status}{_last_words(name, log_dir)}")

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with runner:
            yield check_alive
    finally:
        rclpy.shutdown()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _last_words(name: str, log_dir: Path | None) -> str:
    if log_dir is None:
        return "; its messages stand above"
    lines = (log_dir / f"{name}.log").read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f". The end of {log_dir / name}.log:", *(f"    {line}" for line in lines)])


def _interrupt(*_) -> None:
    raise KeyboardInterrupt
