"""What all nodes of the package share: lifecycle with readable failures, autostart, parameters with ranges, orderly ends."""

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


class DialNode(LifecycleNode):
    """Base of the nodes. A subclass gives PARAMETERS and `configure`, `activate`, `deactivate`, `cleanup`, `diagnose`."""

    PARAMETERS: Mapping[str, Parameter] = {}

    def __init__(self, name: str) -> None:
        self._compatibility = Compatibility(self)  # first: rclpy makes publishers of its own
        super().__init__(name)
        self.failure: str | None = None  # set when the node cannot go on; the process then ends with an error
        self.active = False
        self._jump_handle: JumpHandle | None = None
        self._sole_publishers: SolePublishers | None = None
        self._told_conflict = ""
        self._fault_log = FaultLog()
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.declare_parameter("autostart", False, ParameterDescriptor(description="configure and activate at start", read_only=True))
        for key, parameter in self.PARAMETERS.items():
            self.declare_parameter(key, parameter.default, parameter.descriptor())
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENTS)
        self.every(1.0, self.publish_diagnostics)
        self.every(0.25, self._tell_conflict)

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

    def require_sole_publishers(self, published: Iterable[str] = (), subscribed: Iterable[str] = ()) -> None:
        """From now on, until `release`: `activate` is refused and `conflict` reports while another node publishes there.

        Arguments: as of SolePublishers; a clock that the node follows is added.
        """
        clock = ["/clock"] if self.get_parameter("use_sim_time").value else []
        self._sole_publishers = SolePublishers(self, published, [*subscribed, *clock])

    def conflict(self) -> str:
        """Which other nodes publish where only one may; empty: none does."""
        return self._sole_publishers.conflict() if self._sole_publishers is not None else ""

    def value(self, key: str):
        """Value of a parameter."""
        return self.get_parameter(key).value

    def now_ns(self) -> int:
        """ROS time [ns]."""
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
        """Full names of the nodes that publish on `topic`, which is remapped as for a subscription; sorted."""
        return publishers_of(self, self.resolve_topic_name(topic))

    def every(self, period_s: float, callback: Callable[[], None]):
        """A timer on the steady clock: it goes on when simulated time stands still."""
        return self.create_timer(period_s, callback, clock=self._steady_clock)

    def complain(self, kind: str, why: str, grave: bool = False) -> None:
        """Logs a fault that may repeat: a single one as info, a rate of them as a warning, a `grave` one as an error (see FaultLog)."""
        if (said := self._fault_log.note(kind, why, time.monotonic(), grave)) is not None:
            severity, text = said
            # One line a severity: rclpy raises where one line of code logs with two severities.
            if severity == "info":
                self.get_logger().info(text)
            elif severity == "warning":
                self.get_logger().warning(text)
            else:
                self.get_logger().error(text)

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

    def _tell_conflict(self) -> None:
        """Logs a conflict when it begins and when it ends."""
        why = self.conflict()
        if why and why != self._told_conflict:
            self.get_logger().error(f"{why}: only one may")
        elif self._told_conflict and not why:
            self.get_logger().info("no other node publishes on this node's topics any more")
        self._told_conflict = why

    def _diagnose_inactive(self) -> tuple[bytes, str, Mapping[str, object]]:
        why = self.obstacle()
        if why:
            return DiagnosticStatus.WARN, f"{NOT_ACTIVE}, and would refuse to be: {why}", {}
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
    """The profile that rclpy makes of a depth."""
    return QoSProfile(depth=qos_profile) if isinstance(qos_profile, int) else qos_profile
