"""The one way for a program beside the nodes to start a graph, wait while spinning, and call services.

The demo, the command line, the recorder's keyboard, the fault campaign, the benchmarks and the tests all go through here.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import rclpy
from rclpy.client import Client
from rclpy.context import Context
from rclpy.exceptions import InvalidNamespaceException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.validate_namespace import validate_namespace

from dial_core.errors import DialError
from dial_ros.bringup.graph import NodeSpec, environment
from dial_ros.bringup.runner import Runner

ANSWER_S = 60.0  # of wall time, for a service to appear and again for its answer: a node may be importing torch
SPIN_S = 0.02
LOG_LINES = 15
MEETING_POINTS = ("ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER")  # by which a participant finds others beyond its own machine


class NotInTimeError(DialError):
    """A wait timed out."""


class ClientNode(Node):
    """Node of a program that waits for answers by spinning itself; the robot's own nodes never wait like that."""

    def __init__(
        self, name: str, check_alive: Callable[[], None] = lambda: None, context: Context | None = None, namespace: str = ""
    ) -> None:
        """Creates the node.

        Args:
            check_alive: is called while waiting and raises DialError when there is nothing left to wait for.
            context: of rclpy; None: the default one.
            namespace: ROS namespace of the node, in which it finds the services it calls. DialError if it is none.
        """
        require_namespace(namespace)
        super().__init__(name, context=context, namespace=namespace)
        self._check_alive = check_alive
        self._own_executor = SingleThreadedExecutor(context=context)
        self._own_executor.add_node(self)
        self._clients_by_service: dict[str, Client] = {}

    def spin_once(self, timeout_s: float = SPIN_S) -> None:
        """Executes the callbacks of what arrives within `timeout_s` [s]."""
        self._own_executor.spin_once(timeout_sec=timeout_s)
        self._check_alive()

    def wait_until(self, done: Callable[[], Any], limit_s: float, what: str, step: Callable[[], None] | None = None) -> Any:
        """Spins until `done()` is true, and returns its value.

        Args:
            limit_s: [s] of wall time.
            what: is waited for; stands in the error.
            step: what to do meanwhile; by default `spin_once`.

        Raises:
            NotInTimeError: `limit_s` is over.
        """
        deadline_s = time.monotonic() + limit_s
        while not (result := done()):
            if time.monotonic() > deadline_s:
                raise NotInTimeError(f"timed out after {limit_s:.0f} s waiting for {what}{self.last_words()}")
            (step or self.spin_once)()
        return result

    def last_words(self) -> str:
        """Returns what to add to the error of a wait that timed out."""
        return "; the nodes' logs say more"

    def call(self, kind: type, service: str, request: Any, limit_s: float = ANSWER_S, step: Callable[[], None] | None = None) -> Any:
        """Calls a service and returns its response, granted or refused. Raises NotInTimeError if it is not there or does not answer."""
        client = self.client_of(kind, service)
        self.wait_until(client.service_is_ready, limit_s, f"service {service}", step)
        future = client.call_async(request)
        return self.wait_until(future.done, limit_s, f"an answer of {service}", step) and future.result()

    def command(self, kind: type, service: str, request: Any, limit_s: float = ANSWER_S) -> Any:
        """Calls a service that must grant the request: a refusal raises DialError too. Otherwise as `call`."""
        response = self.call(kind, service, request, limit_s)
        if not response.success:
            raise DialError(f"{service} refused: {response.message}")
        return response

    def client_of(self, kind: type, service: str) -> Client:
        """Returns the client of a service; created on first use."""
        if service not in self._clients_by_service:
            self._clients_by_service[service] = self.create_client(kind, service)
        return self._clients_by_service[service]

    def destroy_node(self) -> None:
        self._own_executor.shutdown()
        super().destroy_node()


class RunningGraph:
    """The running processes of a graph."""

    def __init__(self, runner: Runner, log_dir: Path | None) -> None:
        self.runner, self._log_dir = runner, log_dir
        self._starting, self._interrupted = True, False

    def interrupt(self, *_) -> None:
        """Signal handler: raises KeyboardInterrupt, once the processes have been started.

        Python drops what a signal raises within its callbacks around a fork: `started` or the next `check_alive` raise it then.
        """
        self._interrupted = True
        if not self._starting:
            raise KeyboardInterrupt

    def started(self) -> "RunningGraph":
        """Ends the start; raises KeyboardInterrupt if a signal arrived meanwhile."""
        self._starting = False
        self._unless_interrupted()
        return self

    def check_alive(self) -> None:
        """Raises DialError if a required node has ended, with the last lines of its log, and KeyboardInterrupt if one was dropped."""
        self._unless_interrupted()
        for name, status in self.runner.dead().items():
            raise DialError(f"node {name} ended with status {status}{self._last_lines(name)}")

    def _unless_interrupted(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

    def _last_lines(self, name: str) -> str:
        if self._log_dir is None:
            return "; its messages stand above"
        file = self._log_dir / f"{name}.log"
        lines = file.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([f". The end of {file}:", *(f"    {line}" for line in lines)])


@contextmanager
def running(nodes: Sequence[NodeSpec], kind: str, log_dir: Path | None = None, namespace: str = "") -> Iterator[RunningGraph]:
    """Context of a running graph, with rclpy initialised in this process. SIGINT and SIGTERM become KeyboardInterrupt.

    Args:
        nodes: what to start, of the graph `kind`. Who starts a `sim` here commands it too: it runs in a DDS domain of its own,
            whatever ROS_DOMAIN_ID the shell has, for there a real robot may listen. (`dial sim`, which other shells must find, does not.)
        log_dir, namespace: as of `Runner`. DialError if the namespace is none.
    """
    require_namespace(namespace)
    with private_domain() if kind == "sim" else nullcontext():
        variables = environment(kind)
        set_environment(variables)
        runner = Runner(nodes, variables, namespace, log_dir)
        running_graph = RunningGraph(runner, log_dir)
        # SIGINT too: started in the background, Python would ignore it.
        handlers = {number: signal.signal(number, running_graph.interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
            with runner:
                yield running_graph.started()
        finally:
            rclpy.try_shutdown()
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def connected(kind: str = "humanoid") -> Iterator[None]:
    """Context in which rclpy is initialised, with the environment of the graph `kind` where the user has not set another one."""
    set_environment(environment(kind))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.shutdown()


@contextmanager
def private_domain() -> Iterator[None]:
    """Context in which ROS meets nothing but what is started inside: another DDS domain than the shell's, and on this machine alone."""
    names = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", *MEETING_POINTS)
    before = {name: os.environ[name] for name in names if name in os.environ}
    for name in MEETING_POINTS:
        os.environ.pop(name, None)
    of_shell = before.get("ROS_DOMAIN_ID", "").strip()
    os.environ["ROS_DOMAIN_ID"] = str(free_domain(int(of_shell) if of_shell.isdecimal() else 0))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ |= before


def free_domain(taken: int = 0) -> int:
    """Returns a random DDS domain id other than `taken`, so that a graph runs apart from others; 1 to 101 are safe on every system."""
    return random.SystemRandom().choice([domain for domain in range(1, 102) if domain != taken])


def require_namespace(namespace: str) -> None:
    """Raises DialError if `namespace` is no ROS namespace; one without a leading slash is, and an empty one."""
    try:
        validate_namespace(f"/{namespace.strip('/')}")
    except InvalidNamespaceException as error:
        raise DialError(
            f"namespace {namespace!r} is none of ROS: letters, digits, _ and / only, and no digit after a / or at the front"
        ) from error


def set_environment(variables: dict[str, str]) -> None:
    """Sets environment variables of this process where the user has not."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
