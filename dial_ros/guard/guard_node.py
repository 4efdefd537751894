"""Node `guard`: trajectories on `guarded/<controller>/joint_trajectory` in, those that pass every check out to the controllers.

The wiring only: `control.trajectory_guard` judges. A message is taken as the bytes of the wire and leaves as the same bytes. One
that fails a check is not passed on: every controller is sent a decelerating hold instead, and the diagnostics become ERROR with
the check that failed. Run it beside the controllers, on their machine: what it protects against includes the network.
"""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.control.motion import NANOSECONDS, JointMotion, to_ns
from dial_core.control.robot_clock import Which
from dial_core.control.trajectory_checks import Tolerances, TrajectoryCheck
from dial_core.control.trajectory_guard import TrajectoryGuard
from dial_core.errors import DialError
from dial_core.observation.readings import UnreadableMessageError
from dial_core.observation.split_joint_states import SplitJointStates
from dial_core.robot.embodiment import load_embodiment
from dial_ros.guard.controller_reports import ControllerReports
from dial_ros.guard.guard_parameters import PARAMETERS
from dial_ros.node import qos
from dial_ros.node.joint_state_input import JointStateInput
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.process import run
from dial_ros.node.real_time import ask_for_real_time
from dial_ros.node.robot_limits import Limits
from dial_ros.node.robot_time import RobotTime
from dial_ros.node.sole_publishers import SolePublishers
from dial_ros.node.strict_cdr import trajectory_bytes
from dial_ros.node.trajectory import motion_to_message

ACKNOWLEDGE = Duration(nanoseconds=200_000_000)  # wait this long for controllers to have the last hold when the node ends


class GuardNode(DialNode):
    """The guard as a lifecycle node. One thread: a trajectory is judged in the callback that receives it."""

    PARAMETERS = PARAMETERS

    def __init__(self) -> None:
        super().__init__("guard")
        self._connections = ExitStack()
        self._configured_limits: Limits | None = None
        self._longest_check_s = 0.0
        self._obstacle: tuple[TrajectoryCheck, str] | None = None  # what forbids any motion
        self._last_guard: TrajectoryGuard | None = None  # the newest, also after a cleanup

    # -- lifecycle -----------------------------------------------------------------------------------------------

    @property
    def _limits(self) -> Limits:
        """The robot's limits. Raises DialError unless configured."""
        if self._configured_limits is None:
            raise DialError("guard is not configured; call its lifecycle transition `configure` first")
        return self._configured_limits

    def configure(self) -> None:
        self._embodiment = load_embodiment(self.value("embodiment"))
        self._joints = {c.name: c.joints for c in self._embodiment.controllers}
        self._states = SplitJointStates(self._embodiment.joint_names)
        with ExitStack() as connections:  # undone if one of them cannot be made
            self._robot_time = RobotTime(self)
            connections.callback(self._robot_time.close)
            limits = Limits(self, self._embodiment, self._on_limits, always_narrows=True)
            connections.callback(limits.close)
            self._outputs = {}
            for name in self._joints:
                self._outputs[name] = self.create_publisher(JointTrajectory, f"{name}/joint_trajectory", qos.LATEST)
                connections.callback(self.destroy_publisher, self._outputs[name])
                callback = partial(self._on_trajectory, name)
                guarded = self.create_subscription(JointTrajectory, f"guarded/{name}/joint_trajectory", callback, qos.LATEST, raw=True)
                connections.callback(self.destroy_subscription, guarded)
            connections.callback(JointStateInput(self, self._embodiment.joint_states_topics, self._on_joint_states).close)
            self._reports = ControllerReports(self, self._embodiment.controllers)
            connections.callback(self._reports.close)
            connections.callback(self.destroy_service, self.create_service(Trigger, "~/reset", self._on_reset))
            connections.callback(self.destroy_timer, self.every(0.05, self._supervise))
            commanded = [f"{name}/joint_trajectory" for name in self._joints]
            self.require_sole_publishers(published=commanded, subscribed=[f"guarded/{topic}" for topic in commanded])
            self._intruders = SolePublishers(self, published=commanded)
            self._sources = {name: SolePublishers(self, subscribed=[f"guarded/{name}/joint_trajectory"]) for name in self._joints}
            self._configured_limits, self._connections = limits, connections.pop_all()
        self._guard = self._new_guard()
        if (priority := self.value("real_time_priority")) and (why := ask_for_real_time(priority)):
            self.get_logger().warning(f"{why}; a busy machine may delay trajectories by more than `transport` (docs/guard.md)")

    def obstacle(self) -> str:
        return self._limits.misfit if self._configured_limits else ""

    def listened(self) -> bool:
        return self._limits.listened

    def activate(self) -> None:
        self._guard = self._new_guard()
        self._longest_check_s = 0.0
        self._obstacle = self._obstacle_to_motion()
        if (breach := self._guard.breach) is not None:
            self.get_logger().error(f"still stopped, check {breach.check}: {breach}; call guard/reset")

    def deactivate(self) -> None:
        self._publish_holds()
        for output in self._outputs.values():
            output.wait_for_all_acked(ACKNOWLEDGE)

    def cleanup(self) -> None:
        self._configured_limits = None
        self._connections.close()

    def summary(self) -> str:
        return f"{len(self._joints)} controllers, limits of {self._embodiment.name}"

    def clock_jumped_back(self) -> None:
        self._robot_time.note_jump_back()
        self._follow_clocks()

    def _new_guard(self) -> TrajectoryGuard:
        """A guard that knows nothing of the controllers. A stop that only a reset ends outlives every transition, as `estop` does."""
        tolerances = Tolerances(
            max_age_s=self.value("max_age"),
            max_lead_s=self.value("max_lead"),
            period_s=self.value("controller_period"),
            transport_s=self.value("transport"),
            max_divergence_rad=self.value("max_divergence"),
        )
        guard, last = TrajectoryGuard(self._embodiment, self._limits.guard, tolerances), self._last_guard
        if last is not None and last.latched:
            guard.breach = last.breach
        self._last_guard = guard
        return guard

    # -- inputs --------------------------------------------------------------------------------------------------

    def _on_trajectory(self, name: str, data: bytes) -> None:
        started_s = time.perf_counter()
        if not self.active:
            self.complain("inactive", f"a trajectory for {name} is not passed on: the guard is not active")
            return
        self._robot_time.now_ns()  # notices a step of a clock
        self._follow_clocks()
        request = TrajectoryRequest.from_message(deserialize_message(data, JointTrajectory))
        before = self._guard.breach
        if self._sources[name].conflict():  # a second publisher may have come since the last look at all topics
            self._obstacle = self._obstacle_to_motion()
        for stamp_ns, reference in () if self._guard.knows(name) else self._reports.take(name):
            self._guard.note_reference(name, stamp_ns, reference)
        if self._guard.offer(name, request, self._robot_time.now_ns, self._obstacle):
            self._outputs[name].publish(data)
            self._guard.note_published(name, self._robot_time.now_ns())
            self._longest_check_s = max(self._longest_check_s, time.perf_counter() - started_s)
            if before is not None:
                self.get_logger().info(f"passing again, after: {before}")
                self.publish_diagnostics()
        elif before is None:
            self._report_stop()

    def _on_joint_states(self, messages: Sequence[JointState]) -> None:
        self._robot_time.note_joint_state(to_ns(messages[-1].header.stamp))
        self._follow_clocks()
        for message in messages:
            try:
                positions = self._states.take(to_ns(message.header.stamp), message)
            except UnreadableMessageError as error:
                self.complain("joint_states", str(error))
                continue
            if positions is not None:
                self._guard.note_joints(self._states.newest_ns, positions)
        if self.active:
            self._publish(self._guard.owed_holds(self._robot_time.now_ns))

    def _on_limits(self, limits: Guard) -> None:
        self._guard.limits = limits

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        breach = self._guard.reset()
        response.success = breach is not None
        response.message = f"passing again, after: {breach}" if breach else "the guard is not stopped"
        self.get_logger().info(f"reset: {response.message}")
        self.publish_diagnostics()
        return response

    # -- supervision ---------------------------------------------------------------------------------------------

    def _follow_clocks(self) -> None:
        for step in self._robot_time.take_steps():
            self.get_logger().warning(str(step))
            self._reports.clear()
            restarted = step.which is Which.ROBOT and step.seconds < 0
            if self._robot_time.simulated or restarted:
                self._guard.reset_motion()
            elif step.which is Which.ROBOT:
                self._guard.shift(round(step.seconds * NANOSECONDS))

    def _obstacle_to_motion(self) -> tuple[TrajectoryCheck, str] | None:
        if conflict := self.conflict():
            return TrajectoryCheck.SOURCE, f"{conflict}: only one may"
        if self._limits.input.age_s is None:
            return TrajectoryCheck.LIMITS, f"the robot's limits are not known: {self._limits.misfit or 'waiting for robot_description'}"
        return None

    def _supervise(self) -> None:
        """Checks for a second publisher and a URDF that does not fit, and stops a robot that may move."""
        if not self.active:
            return
        self._obstacle = self._obstacle_to_motion()
        if self._obstacle is not None and self._guard.breach is None and self._guard.passed:
            self._guard.stop(*self._obstacle)
            self._report_stop()
        self._publish(self._guard.owed_holds(self._robot_time.now_ns))

    def _report_stop(self) -> None:
        """Logs and reports the stop that just began, after a hold to every controller."""
        breach = self._guard.breach
        assert breach is not None
        self._publish_holds()
        self.get_logger().error(f"stopped, check {breach.check}: {breach}" + ("; call guard/reset" if self._guard.latched else ""))
        self.publish_diagnostics()

    def _publish_holds(self) -> None:
        if self._intruders.conflict():
            self._guard.reset_motion()  # somebody else moves the controllers: a hold from where they were sent would be a step
        self._publish(self._guard.holds(self._robot_time.now_ns))

    def _publish(self, holds: Iterable[tuple[str, JointMotion]]) -> None:
        for name, motion in holds:
            self._outputs[name].publish(trajectory_bytes(motion_to_message(motion, self._joints[name])))
            self._guard.note_published(name, self._robot_time.now_ns())

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        guard = self._guard
        unsubscribed = [output.topic_name for output in self._outputs.values() if not output.get_subscription_count()]
        values: dict[str, object] = {
            "state": "stopped" if guard.breach else "passing",
            "check": guard.breach.check if guard.breach else "",
            "latched": guard.latched,
            "passed": guard.passed,
            "longest_check_ms": round(1e3 * self._longest_check_s, 2),
            "unsubscribed": ", ".join(unsubscribed),
        }
        values |= {f"refused/{check}": guard.refused[check] for check in TrajectoryCheck}
        if guard.breach is not None:
            return DiagnosticStatus.ERROR, f"stopped, check {guard.breach.check}: {guard.breach}", values
        if unsubscribed:
            return DiagnosticStatus.WARN, f"passing; no controller subscribes to {', '.join(unsubscribed)}", values
        return DiagnosticStatus.OK, "passing", values


def main() -> int:
    """Entry point; the exit status."""
    return run(GuardNode)


if __name__ == "__main__":
    sys.exit(main())
