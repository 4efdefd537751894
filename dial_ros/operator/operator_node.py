"""Node `operator`: the page at http://127.0.0.1:8080, in a process of its own.

ROS spins in a thread; the page has the main one. Losing the page, its network or this process changes nothing about the robot.
"""

import contextlib
import math
import os
import re
import secrets
import signal
import sys
import threading
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logging_directory
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.signals import SignalHandlerOptions

from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.operator.actions import ActionLog, Actions
from dial_ros.operator.page_parameters import LIMITS, PARAMETERS
from dial_ros.operator.page_port import free_port, require_free_port
from dial_ros.operator.robot_view import RobotView
from dial_ros.operator.vocabulary import KnownWords

ASK_AGAIN_S = 5.0  # after a question that was not answered
RENEW_S = 10.0  # after an answer: a node may have been restarted, or its parameters set
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class OperatorNode(Node):
    """The page's side of ROS: what is seen, what can be done."""

    def __init__(self) -> None:
        super().__init__("operator")
        for key, parameter in PARAMETERS.items():
            self.declare_parameter(key, parameter.default, parameter.descriptor())
        require_token(self.value("host"), self.value("token"))
        self.embodiment = load_embodiment(self.value("embodiment"))
        log = self.value("action_log") or str(Path(get_logging_directory()) / "operator_actions.jsonl")
        self.actions = Actions(self, ActionLog(Path(log)), self.value("read_only"))
        self.view = RobotView(self, self.embodiment, self.value("camera"))
        self.words = KnownWords(self.value("checkpoint"))
        self.trained_on = TrainedOn.load(self.value("checkpoint")) if self.value("checkpoint") else TrainedOn()
        self.reported = ReportedParameters(self)

    def value(self, key: str):
        """Value of a parameter."""
        return self.get_parameter(key).value


class ReportedParameters:
    """Parameters of the other nodes that the page shows, at most `RENEW_S` old while their node is there. A question may get lost."""

    ASKED = {"system1": tuple(LIMITS.values()), "mujoco_robot": ("task", "seed"), "recorder": ("directory",)}

    def __init__(self, node: Node) -> None:
        self.values: dict[str, Any] = {}  # node/parameter -> value
        self._clients = {name: AsyncParameterClient(node, name) for name in self.ASKED}
        self._due_s = dict.fromkeys(self.ASKED, -math.inf)  # when each node is asked next
        node.create_timer(1.0, self._ask)

    def _ask(self) -> None:
        now_s = time.monotonic()
        for name, client in self._clients.items():
            if not client.services_are_ready():
                self._due_s[name] = -math.inf  # one that comes back is asked at once
            elif now_s >= self._due_s[name]:
                self._due_s[name] = now_s + ASK_AGAIN_S
                client.get_parameters(list(self.ASKED[name])).add_done_callback(partial(self._take, name))

    def _take(self, name: str, future: Any) -> None:
        asked, answer = self.ASKED[name], future.result()
        # Another node of that name has none of the parameters, and answers with an empty list: nothing is known then.
        if answer is None or len(answer.values) != len(asked):
            return
        self.values |= {f"{name}/{key}": parameter_value_to_python(value) for key, value in zip(asked, answer.values, strict=True)}
        self._due_s[name] = time.monotonic() + RENEW_S


def require_token(host: str, token: str) -> None:
    """Raises DialError if the page would be open to other machines without a token, or the token does not fit into an address unquoted."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", token):
        raise DialError(
            f"the token has characters other than A-Z a-z 0-9 _ and -: set another one, for instance {secrets.token_urlsafe(12)}"
        )
    if host not in LOOPBACK and len(token) < 8:
        raise DialError(
            f"host {host} lets other machines in: set a token of at least 8 characters too, for instance {secrets.token_urlsafe(12)}, "
            "and open http://HOST:PORT/?token=... ; or keep 127.0.0.1 and use an ssh tunnel"
        )


def main() -> int:
    """Entry point; the exit status."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = OperatorNode()
        serve(node)
    except DialError as error:
        rclpy.logging.get_logger("operator").fatal(str(error))
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


def serve(node: OperatorNode) -> None:
    """Shows the page until SIGINT or SIGTERM."""
    from nicegui import app, ui

    from dial_ros.operator.page import OperatorPage
    from dial_ros.operator.token_gate import LoopbackGate, TokenGate
    from dial_ros.operator.visit import OperatorVisit, Shared

    host, token = node.value("host"), node.value("token")
    port = node.value("port") or free_port(host)
    require_free_port(host, port, "set another `port` (page_port:= of a launch file)")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    threading.Thread(target=_spin, args=(executor,), daemon=True, name="ros").start()
    if token:
        app.add_middleware(TokenGate, token=token)
    else:
        app.add_middleware(LoopbackGate)
    visit = OperatorVisit(node.view, node.embodiment, node.reported.values, node.actions, node.words, node.trained_on, Shared())
    OperatorPage(visit, node.value("rate_hz")).register()
    node.get_logger().info(f"the page is at http://{host}:{port}/" + ("?token=..." if token else "") + "; Space or Escape stops the robot")
    signal.signal(signal.SIGTERM, lambda *_: app.shutdown())
    ui.run(host=host, port=port, show=False, reload=False, show_welcome_message=False, uvicorn_logging_level="warning", favicon="🤖")
    executor.shutdown()


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()
    except Exception:
        # A page that shows nothing new and acknowledges nothing must not stay up.
        rclpy.logging.get_logger("operator").fatal(f"the page ends:\n{traceback.format_exc()}")
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ in {"__main__", "__mp_main__"}:
    sys.exit(main())
