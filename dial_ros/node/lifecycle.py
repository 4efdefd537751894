"""Base class of all nodes: lifecycle with readable failures, autostart, parameters with ranges, orderly shutdown."""

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType, JumpHandle, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile

from dial_core.errors import DialError
from dial_ros.node import qos
from dial_ros.node.compatibility import Compatibility
from dial_ros.node.fault_log import FaultLog
from dial_ros.node.sole_publishers import SolePublishers, publishers_of

NOT_ACTIVE = "not active"  # how the diagnostics of an inactive node begin
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


@dataclass(frozen=True)
class Unfinished:
    """Work that must be completed before a process ends: what it is, and how much of it is left, in any unit."""

    what: str
    left: float


class DialNode(LifecycleNode):
    """Base class of the nodes. A subclass defines PARAMETERS and `configure`, `activate`, `deactivate`, `cleanup`, `diagnose`."""

    PARAMETERS: Mapping[str, Parameter] = {}

    def __init__(self, name: str) -> None:
        self._compatibility = Compatibility(self)  # first: rclpy creates publishers of its own
        super().__init__(name)
        self.failure: str | None = None  # set when the node cannot continue; the process then exits with an error
        self.active = False
        self._jump_handle: JumpHandle | None = None
        self._sole_publishers: SolePublishers | None = None
        self._logged_conflict = ""
        self._fault_log = FaultLog()
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.declare_parameter("autostart", False, ParameterDescriptor(description="configure and activate at start", read_only=True))
        for key, parameter in self.PARAMETERS.items():
            self.declare_parameter(key, parameter.default, parameter.descriptor())
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENTS)
        self.every(1.0, self.publish_diagnostics)
        self.every(0.25, self._log_conflict)

    # What a subclass does in each transition; a DialError makes it fail, with the message in the log.

    def configure(self) -> None:
        """Loads models and files, checks the contract, and creates publishers, subscriptions and services."""

    def activate(self) -> None:
        """Starts the node's work."""

    def obstacle(self) -> str:
        """Returns why `activate` would fail now, by what was received since `configure`; empty if it would not."""
        return ""

    def listened(self) -> bool:
        """Returns whether enough was received since `configure` to decide that; autostart waits for it briefly."""
        return True

    def deactivate(self) -> None:
        """Stops the node's work."""

    def unfinished(self) -> Unfinished | None:
        """Returns what must be completed before `deactivate`, None if nothing. Called repeatedly while the process ends, from the first
        call on the node takes no more work.
        """
        return None

    def give_up(self) -> None:
        """Drops what `unfinished` reported: the process ends now."""

    def cleanup(self) -> None:
        """Destroys what `configure` created; also called after a `configure` that failed half way, and again at shutdown."""

    def summary(self) -> str:
        """Returns what the active node works with, for the log line at activation."""
        return ""

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """Returns level (DiagnosticStatus.OK ...), message and values for /diagnostics."""
        return DiagnosticStatus.OK, "", {}

    def clock_jumped_back(self) -> None:
        """Called when ROS time went backwards."""

    # For subclasses.

    def require_sole_publishers(self, published: Iterable[str] = (), subscribed: Iterable[str] = ()) -> None:
        """Makes `activate` fail and `conflict` report while another node publishes on these topics; until `release`.

        Arguments: as of SolePublishers; a clock that the node follows is added.
        """
        clock = ["/clock"] if self.get_parameter("use_sim_time").value else []
        self._sole_publishers = SolePublishers(self, published, [*subscribed, *clock])

    def conflict(self) -> str:
        """Returns which other nodes publish on topics that allow one publisher; empty if none does."""
        return self._sole_publishers.conflict() if self._sole_publishers is not None else ""

    def value(self, key: str):
        """Returns the value of a parameter."""
        return self.get_parameter(key).value

    def now_ns(self) -> int:
        """Returns the ROS time [ns]."""
        return self.get_clock().now().nanoseconds

    def create_subscription(self, msg_type, topic: str, callback, qos_profile: QoSProfile | int, **options):
        """As of rclpy; publishers with an incompatible QoS are reported in the diagnostics."""
        options.setdefault("event_callbacks", self._compatibility.of_subscription(topic, _profile(qos_profile)))
        return super().create_subscription(msg_type, topic, callback, qos_profile, **options)

    def create_publisher(self, msg_type, topic: str, qos_profile: QoSProfile | int, **options):
        """As of rclpy; subscribers with an incompatible QoS are reported in the diagnostics."""
        options.setdefault("event_callbacks", self._compatibility.of_publisher(topic, _profile(qos_profile)))
        return super().create_publisher(msg_type, topic, qos_profile, **options)

    def publisher_names(self, topic: str) -> list[str]:
        """Returns the sorted full names of the nodes that publish on `topic`, which is remapped as for a subscription."""
        return publishers_of(self, self.resolve_topic_name(topic))

    def every(self, period_s: float, callback: Callable[[], None]):
        """Creates a timer on the steady clock, which keeps running while simulated time is paused."""
        return self.create_timer(period_s, callback, clock=self._steady_clock)

    def complain(self, kind: str, why: str, grave: bool = False) -> None:
        """Logs a fault that may repeat: a single one as info, a rate of them as a warning, a `grave` one as an error (see FaultLog)."""
        if (entry := self._fault_log.note(kind, why, time.monotonic(), grave)) is not None:
            severity, text = entry
            # One line a severity: rclpy raises where one line of code logs with two severities.
            if severity == "info":
                self.get_logger().info(text)
            elif severity == "warning":
                self.get_logger().warning(text)
            else:
                self.get_logger().error(text)

    def fail(self, why: str) -> None:
        """Logs why the node cannot continue, and makes the process exit with an error."""
        self.get_logger().fatal(why)
        self.failure = why

    def fail_with(self, error: BaseException) -> None:
        """Calls `fail` with an unexpected exception and its traceback."""
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
        """Undoes `configure` as far as it got; may be called in any state, also twice."""
        if self._jump_handle is not None:
            self._jump_handle.unregister()  # the clock keeps a handle that is only dropped
            self._jump_handle = None
        self._sole_publishers = None
        return self._attempt("cleanup", self.cleanup)

    def _activate_unhindered(self) -> None:
        if why := self.conflict() or self.obstacle():
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

    def _log_conflict(self) -> None:
        """Logs a conflict when it starts and when it ends."""
        why = self.conflict()
        if why and why != self._logged_conflict:
            self.get_logger().error(f"{why}: only one may")
        elif self._logged_conflict and not why:
            self.get_logger().info("no other node publishes on this node's topics any more")
        self._logged_conflict = why

    def _diagnose_inactive(self) -> tuple[bytes, str, Mapping[str, object]]:
        why = self.obstacle()
        if why:
            return DiagnosticStatus.WARN, f"{NOT_ACTIVE}, and activation would fail: {why}", {}
        return DiagnosticStatus.OK, NOT_ACTIVE, {}

    def publish_diagnostics(self) -> None:
        """Publishes the diagnostics of now; a timer does so once a second."""
        level, message, values = self.diagnose() if self.active else self._diagnose_inactive()
        if why := self.conflict():
            level, message, values = DiagnosticStatus.ERROR, f"{message}; {why}: only one may", {**values, "conflict": why}
        if mismatched := self._compatibility.mismatched():
            level = max(level, DiagnosticStatus.WARN)
            message = "; ".join([message, *mismatched.values()])
            values = {**values, **{f"qos/{topic}": why for topic, why in mismatched.items()}}
        status = DiagnosticStatus(level=level, name=self.get_fully_qualified_name(), message=message, hardware_id="")
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def _profile(qos_profile: QoSProfile | int) -> QoSProfile:
    """Returns the profile that rclpy makes of a queue depth."""
    return QoSProfile(depth=qos_profile) if isinstance(qos_profile, int) else qos_profile
