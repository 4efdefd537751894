"""Commands of an operator to a running robot, without ros2cli: instruct, stop, pause, resume, status.

python -m dial_ros.tools.operate instruct "put the can on the plate"        (or: dial instruct ...)
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from std_srvs.srv import SetBool, Trigger

from dial_core.errors import DialError
from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos
from dial_ros.node.states import SILENT_S, STOPPED, SYSTEM1_STATES, SYSTEM2_STATES, UNSTOPPED
from dial_ros.srv import SetInstruction
from dial_ros.tools.client import ClientNode, NotInTimeError, connected, require_namespace

FOUND_S = 5.0  # of wall time for a node to be discovered and to answer: the nodes run already
STOP_OVERDUE_S = 2.0  # of wall time, most of it discovery, after which a stop that is not acknowledged is reported
LISTEN_S = 2.5  # diagnostics come once a second
LEVELS = {DiagnosticStatus.OK: "ok", DiagnosticStatus.WARN: "warning", DiagnosticStatus.ERROR: "ERROR", DiagnosticStatus.STALE: "stale"}


class OperatorShell(ClientNode):
    """Calls the services of a running graph and subscribes to the status of its nodes."""

    def __init__(self, namespace: str = "") -> None:
        """Creates the node; `namespace` is the robot's. DialError if it is no ROS namespace."""
        require_namespace(namespace)
        super().__init__("operator_shell")
        self._prefix = f"/{namespace.strip('/')}/" if namespace.strip("/") else ""
        self.system1: System1Status | None = None
        self.system2: System2Status | None = None
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.received_s: dict[str, float] = {}  # when each system last reported [s]
        self.create_subscription(System1Status, f"{self._prefix}system1/status", self._on_system1, qos.LATCHED)
        self.create_subscription(System2Status, f"{self._prefix}system2/status", self._on_system2, qos.LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENTS)

    def last_words(self) -> str:
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        return f" in DDS domain {domain}; is it running (`dial sim`)? With a ROS_DOMAIN_ID or --namespace of its own, give the same here"

    def instruct(self, text: str) -> str:
        """Sends an instruction; returns what System-2 answered and what System-1 does with it. Raises DialError if it is refused."""
        answer = self.command(SetInstruction, f"{self._prefix}system2/set_instruction", SetInstruction.Request(text=text), FOUND_S)
        lines = [f"accepted{': ' + answer.message.removeprefix('accepted, but ') if answer.message else ''}"]

        def taken_up() -> bool:
            return self.system1 is not None and self.system1.instruction_id == answer.instruction_id

        try:
            self.wait_until(taken_up, FOUND_S, "System-1 to take it up")
        except NotInTimeError:
            lines.append("System-1 has not taken it up: nothing will move" + (f" ({state_of(self.system1)})" if self.system1 else ""))
        else:
            lines.append(f"System-1 is {state_of(self.system1)}")
        return "\n".join(lines)

    def request(self, kind: type, service: str, request) -> str:
        """Calls a service of System-1; returns what it answered, with the time that took. Raises DialError if it is refused."""
        granted, text, acknowledged = self._ask(kind, service, request)
        if not granted:
            raise DialError(f"{self._prefix}system1/{service} refused: {text}")
        return f"{text} ({acknowledged})"

    def stop(self, report: Callable[[str], None] = print) -> str:
        """Requests the emergency stop; returns as `request`. It is latched whatever System-1 answers: no answer is a refusal.

        Without an acknowledgement `report` is called with what to do instead, after `STOP_OVERDUE_S`; it continues to wait:
        `FOUND_S` for the service, and again for its answer.

        Raises DialError if the deceleration could not be computed, or nothing was acknowledged.
        """
        name = f"{self._prefix}system1/estop"
        report(f"waiting for {name} to acknowledge the emergency stop")
        try:
            granted, text, acknowledged = self._ask(Trigger, "estop", Trigger.Request(), self._overdue(name, report))
        except NotInTimeError as error:
            raise DialError(f"NOT ACKNOWLEDGED: {error}. {UNSTOPPED}") from error
        said = f"{text} ({acknowledged})" if text.startswith(STOPPED) else f"{text} ({acknowledged}). {UNSTOPPED}"
        if not granted:
            raise DialError(said)
        return said

    def _overdue(self, service: str, report: Callable[[str], None]) -> Callable[[], None]:
        """Returns a step of waiting for an emergency stop that reports, once and `STOP_OVERDUE_S` from now, that it is not acknowledged."""
        due_s, reported = time.monotonic() + STOP_OVERDUE_S, False

        def step() -> None:
            nonlocal reported
            self.spin_once()
            if not reported and time.monotonic() >= due_s:
                reported = True
                missing = "has not answered" if self.client_of(Trigger, service).service_is_ready() else "is not offered by any node"
                report(f"NOT ACKNOWLEDGED: {service} {missing} after {STOP_OVERDUE_S:g} s. {UNSTOPPED} Still waiting for it.")

        return step

    def _ask(self, kind: type, service: str, request, step: Callable[[], None] | None = None) -> tuple[bool, str, str]:
        """Calls a service of System-1; returns whether it was granted, what was answered, and how soon. `step`: as of `wait_until`."""
        name = f"{self._prefix}system1/{service}"
        self.wait_until(self.client_of(kind, name).service_is_ready, FOUND_S, f"service {name}", step)
        begin_s = time.monotonic()
        answer = self.call(kind, name, request, FOUND_S, step)
        return answer.success, answer.message, f"acknowledged by System-1 after {time.monotonic() - begin_s:.2f} s"

    def listen(self) -> None:
        """Waits for the nodes' diagnostics. Raises NotInTimeError if there are none."""
        self.wait_until(lambda: self.system1 or self.system2 or self.diagnostics, FOUND_S, "a node of this package")
        end_s = time.monotonic() + LISTEN_S
        while time.monotonic() < end_s:
            self.spin_once()

    def _on_system1(self, message: System1Status) -> None:
        self.system1 = message
        self.received_s["System-1"] = time.monotonic()

    def _on_system2(self, message: System2Status) -> None:
        self.system2 = message
        self.received_s["System-2"] = time.monotonic()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics |= {status.name: status for status in message.status if status.name.startswith(self._prefix or "/")}


def state_of(status: System1Status | System2Status | None) -> str:
    """Returns a status in words: `holding: camera 0.61 s old (limit 0.50 s)`."""
    if status is None:
        return "not there"
    name = (SYSTEM1_STATES if isinstance(status, System1Status) else SYSTEM2_STATES).get(status.state, "?")
    warning = f"; {status.warning}" if getattr(status, "warning", "") else ""
    return f"{name}{': ' + status.reason if status.reason else ''}{warning}"


def status_table(operator: OperatorShell) -> Table:
    """Returns a table with a row for each node, and the figures of the two systems."""
    table = Table("node", "level", "reports", box=None)
    for name, status in sorted(operator.diagnostics.items()):
        table.add_row(name, LEVELS.get(status.level, "?"), escape(status.message))
    one, two = operator.system1, operator.system2
    if two is not None:
        figures = f"{two.foresight_rate:.1f} foresights/s, {_s(two.camera_to_foresight_latency)} from camera to foresight"
        _add_system(table, operator, "System-2", two, figures)
    if one is not None:
        _add_system(
            table,
            operator,
            "System-1",
            one,
            f"{one.chunk_rate:.1f} chunks/s, {_s(one.camera_to_command_latency)} from camera to command",
            f"camera {_s(one.camera_age)} old, joints {_s(one.joint_states_age)}, foresight {_s(one.foresight_age)}",
        )
        table.add_row("instruction", "", escape(one.instruction or "none"))
    return table


def _add_system(table: Table, operator: OperatorShell, name: str, status: System1Status | System2Status, *figures: str) -> None:
    """Adds the state and the figures of a system; of one that no longer reports only that, and the last it said."""
    silent_s = time.monotonic() - operator.received_s[name]
    if silent_s > SILENT_S:
        table.add_row(name, "SILENT", escape(f"no report for {silent_s:.1f} s; the last one: {state_of(status)}"))
        return
    table.add_row(name, "", escape(state_of(status)))
    for figure in figures:
        table.add_row("", "", figure)


def _s(seconds: float) -> str:
    return "-" if seconds < 0 else f"{seconds:.2f} s"


def _parser(command: str) -> argparse.ArgumentParser:
    about, _ = COMMANDS[command]
    parser = argparse.ArgumentParser(prog=f"dial {command}", description=about)
    parser.add_argument("--namespace", default="", help="ROS namespace of the robot")
    if command == "instruct":
        parser.add_argument("text", nargs="+", help="what the robot is to do, in plain language")
    if command == "stop":
        parser.add_argument("--reset", action="store_true", help="unlatch an emergency stop; only a new instruction moves the robot then")
    return parser


def _instruct(operator: OperatorShell, chosen: argparse.Namespace, console: Console) -> None:
    console.print(operator.instruct(" ".join(chosen.text)), markup=False, highlight=False, soft_wrap=True)


def _request(kind: type, service: str, request) -> Callable[[OperatorShell, argparse.Namespace, Console], None]:
    def act(operator: OperatorShell, chosen: argparse.Namespace, console: Console) -> None:
        console.print(operator.request(kind, service, request), markup=False, highlight=False, soft_wrap=True)

    return act


def _stop(operator: OperatorShell, chosen: argparse.Namespace, console: Console) -> None:
    def report(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    report(operator.request(Trigger, "reset_estop", Trigger.Request()) if chosen.reset else operator.stop(report))


def _status(operator: OperatorShell, chosen: argparse.Namespace, console: Console) -> None:
    operator.listen()
    console.print(status_table(operator), highlight=False)


COMMANDS: dict[str, tuple[str, Callable[[OperatorShell, argparse.Namespace, Console], None]]] = {
    "instruct": ("Give the robot a new task; it replaces the current one at once.", _instruct),
    "stop": ("Emergency stop: System-1 decelerates and latches. In software, no safety function.", _stop),
    "pause": ("Decelerate and stay, until `dial resume`.", _request(SetBool, "pause", SetBool.Request(data=True))),
    "resume": ("End a pause; the same instruction continues.", _request(SetBool, "pause", SetBool.Request(data=False))),
    "status": ("Show what every node reports.", _status),
}


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0 if the request was granted, 1 if it was refused or timed out."""
    given = list(sys.argv[1:] if words is None else words)
    if not given or given[0] not in COMMANDS:
        print(f"usage: python -m dial_ros.tools.operate {{{','.join(COMMANDS)}}} ...", file=sys.stderr)
        return 2
    chosen = _parser(given[0]).parse_args(given[1:])
    console = Console()
    try:
        with connected():
            operator = OperatorShell(chosen.namespace)
            try:
                COMMANDS[given[0]][1](operator, chosen, console)
            finally:
                operator.destroy_node()
    except DialError as error:
        console.print(f"dial {given[0]}: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
