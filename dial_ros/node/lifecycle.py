"""What all nodes of the package share: lifecycle with readable failures, autostart, parameters with ranges, orderly ends."""

import faulthandler
import os
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from dial_core.errors import DialError
from dial_ros.node import qos
from dial_ros.node.compatibility import Compatibility
from dial_ros.node.fault_log import FaultLog

LISTEN_S = 5.0  # between configure and activate of an autostart; a robot that comes later is checked when it comes
GOODBYE_S = 3.0  # for the whole end, DDS included: `ros2 launch` sends SIGTERM 5 s after SIGINT

END_WITH_PARENT = "DIAL_END_WITH_PARENT"  # environment variable: set to 1 by whoever starts a graph

ParameterValue = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """A read-only parameter: default, what it does (with unit), and the range of a number."""

    default: ParameterValue
    description: str
    lower: float | None = None
    upper: float | None = None

    def descriptor(self) -> ParameterDescriptor:
        """For `declare_parameter`, which then refuses a value of the wrong type or outside the range, with the reason."""
        descriptor = ParameterDescriptor(description=self.description, read_only=True)
        if self.lower is not None and self.upper is not None:
            if isinstance(self.default, float):
                descriptor.floating_point_range = [FloatingPointRange(from_value=self.lower, to_value=self.upper)]
            else:
                descriptor.integer_range = [IntegerRange(from_value=int(self.lower), to_value=int(self.upper), step=1)]
        return descriptor


class DialNode(LifecycleNode):
    """Base of the nodes. A subclass gives PARAMETERS and `configure`, `activate`, `deactivate`, `cleanup`, `diagnose`."""

    PARAMETERS: Mapping[str, Parameter] = {}

    def __init__(self, name: str) -> None:
        self._compatibility = Compatibility(self)  # first: rclpy makes publishers of its own
        super().__init__(name)
        self.failure: str | None = None  # set when the node cannot go on; the process then ends with an error
        self.active = False
        self._jump_handle = None
        self._fault_log = FaultLog()
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.declare_parameter("autostart", False, ParameterDescriptor(description="configure and activate at start", read_only=True))
        for key, parameter in self.PARAMETERS.items():
            self.declare_parameter(key, parameter.default, parameter.descriptor())
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENTS)
        self.every(1.0, self._publish_diagnostics)

    # What a subclass does in each transition; raising DialError refuses it, with the message in the log.

    def configure(self) -> None:
        """Loads what is heavy and checks the contract."""

    def activate(self) -> None:
        """Begins the node's work."""

    def obstacle(self) -> str:
        """Why `activate` would be refused now, after what was heard since `configure`; empty: it would not."""
        return ""

    def listened(self) -> bool:
        """Whether enough was heard since `configure` to judge that; an autostart waits for it for a moment."""
        return True

    def deactivate(self) -> None:
        """Disarms."""

    def cleanup(self) -> None:
        """Lets go of what `configure` made; also after a `configure` that failed half way, and again when the node ends."""

    def summary(self) -> str:
        """What an active node works with, for the log line at its activation."""
        return ""

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """Level (DiagnosticStatus.OK ...), message and values for /diagnostics."""
        return DiagnosticStatus.OK, "", {}

    def clock_jumped_back(self) -> None:
        """Called when ROS time went backwards."""

    # Tools for a subclass.

    def value(self, key: str):
        """Value of a parameter."""
        return self.get_parameter(key).value

    def now_ns(self) -> int:
        """ROS time [ns]."""
        return self.get_clock().now().nanoseconds

    def create_subscription(self, msg_type, topic: str, callback, qos_profile: QoSProfile, **options):
        """As of rclpy; publishers that can deliver nothing are told in the diagnostics."""
        options.setdefault("event_callbacks", self._compatibility.of_subscription(topic, qos_profile))
        return super().create_subscription(msg_type, topic, callback, qos_profile, **options)

    def create_publisher(self, msg_type, topic: str, qos_profile: QoSProfile, **options):
        """As of rclpy; subscribers to whom nothing can be delivered are told in the diagnostics."""
        options.setdefault("event_callbacks", self._compatibility.of_publisher(topic, qos_profile))
        return super().create_publisher(msg_type, topic, qos_profile, **options)

    def every(self, period_s: float, callback: Callable[[], None]):
        """A timer on the steady clock: it goes on when simulated time stands still."""
        return self.create_timer(period_s, callback, clock=self._steady_clock)

    def complain(self, kind: str, why: str, grave: bool = False) -> None:
        """Logs a fault that may repeat: a single one as info, a rate of them as a warning, a `grave` one as an error (see FaultLog)."""
        if (said := self._fault_log.note(kind, why, time.monotonic(), grave)) is not None:
            severity, text = said
            getattr(self.get_logger(), severity)(text)

    def fail(self, why: str) -> None:
        """The node cannot go on: logs why and lets the process end with an error."""
        self.get_logger().fatal(why)
        self.failure = why

    def fail_with(self, error: BaseException) -> None:
        """`fail` with an unexpected exception and its trace."""
        self.fail("".join(traceback.format_exception(error)))

    # Lifecycle callbacks of rclpy: it swallows exceptions without a trace, so they are caught and logged here.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._attempt("configure", self.configure)
        if result is not TransitionCallbackReturn.SUCCESS:
            self.release()
            return result
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False),
            post_callback=lambda _: self.clock_jumped_back(),
        )
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._attempt("activate", self._activate_unhindered)
        self.active = result is TransitionCallbackReturn.SUCCESS
        if self.active:
            self.get_logger().info(f"active{': ' + what if (what := self.summary()) else ''}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._attempt("deactivate", self.deactivate)
        self.active = result is not TransitionCallbackReturn.SUCCESS  # one that failed leaves the lifecycle in `active`
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.release()

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self.active:
            self.on_deactivate(state)
        return self.on_cleanup(state)

    def release(self) -> TransitionCallbackReturn:
        """Undoes `configure` as far as it got, in any state, also twice."""
        if self._jump_handle is not None:
            self._jump_handle.unregister()  # the clock keeps a handle that is only dropped
            self._jump_handle = None
        return self._attempt("cleanup", self.cleanup)

    def _activate_unhindered(self) -> None:
        if why := self.obstacle():
            raise DialError(why)
        self.activate()

    def _attempt(self, transition: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except DialError as error:
            self.get_logger().error(f"{transition} failed: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"{transition} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _diagnose_inactive(self) -> tuple[bytes, str, Mapping[str, object]]:
        why = self.obstacle()
        return (DiagnosticStatus.WARN, f"not active, and would refuse to be: {why}", {}) if why else (DiagnosticStatus.OK, "not active", {})

    def _publish_diagnostics(self) -> None:
        level, message, values = self.diagnose() if self.active else self._diagnose_inactive()
        if mismatched := self._compatibility.mismatched():
            level = max(level, DiagnosticStatus.WARN)
            message = "; ".join([message, *mismatched.values()])
            values = {**values, **{f"qos/{topic}": why for topic, why in mismatched.items()}}
        status = DiagnosticStatus(level=level, name=self.get_fully_qualified_name(), message=message, hardware_id="")
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def run(make_node: Callable[[], DialNode], arguments: list[str] | None = None) -> int:
    """Runs a node until SIGINT, SIGTERM or its failure; the exit status: 0, or 1 if it failed or could not start."""
    orphaned = _parent_watch()
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: stop.append(received))
    try:
        node = make_node()
    except Exception as error:  # a parameter of the wrong type or out of range; a broken installation
        rclpy.logging.get_logger("dial_ros").fatal(f"the node cannot start: {error}")
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
        _end(node, executor)


def _parent_watch() -> Callable[[], bool]:
    """Whether the process that started this one has ended since; always false unless it asked to be watched.

    `ros2 launch` killed by SIGTERM or SIGKILL leaves its nodes running, and a robot with them.
    """
    if os.environ.get(END_WITH_PARENT) != "1":
        return lambda: False
    parent = os.getppid()
    return lambda: os.getppid() != parent


def _started(node: DialNode, executor: SingleThreadedExecutor, stop: list[int]) -> bool:
    """Configures, listens for a moment to what `activate` is going to check, and activates; False if one of them is refused."""
    if node.trigger_configure() is not TransitionCallbackReturn.SUCCESS:
        return False
    deadline_s = time.monotonic() + LISTEN_S
    while not (stop or node.listened() or time.monotonic() > deadline_s):
        executor.spin_once(timeout_sec=0.05)
    return bool(stop) or node.trigger_activate() is TransitionCallbackReturn.SUCCESS


def _end(node: DialNode, executor: SingleThreadedExecutor) -> None:
    """Leaves in order: deactivate (System-1 sends a decelerating hold), clean up, tell DDS goodbye.

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


def one_thread() -> None:
    """One torch thread for this process: two threads beside a busy core are an order of magnitude slower."""
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
