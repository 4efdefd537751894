"""Node `mujoco_robot`: a simulated robot with its trajectory controllers, its camera and its clock.

One thread steps the physics in slices of 10 ms, at most at `real_time_factor`: controllers take new trajectories and give
the set-points, the world moves, /clock and joint_states go out; every 50 ms the camera's image and the success. The
executor's thread takes requests. MuJoCo's rendering context belongs to the physics thread, so the world is made there.
Paused, the world advances only by `step`: so many slices, as fast as possible.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PointStamped
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_core.sim.world import World
from dial_ros.mujoco_robot.controller_bank import ControllerBank
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode, Parameter
from dial_ros.node.messages import image_to_message, to_time
from dial_ros.node.polled import PolledSubscription
from dial_ros.node.process import run
from dial_ros.node.trajectory import reference_to_message
from dial_ros.srv import ResetWorld, StepWorld

SLICE_NS = 10_000_000  # the controllers' update period
CONTROL_SLICES = 5  # slices a control step: camera and judgement at 20 Hz
SCENE_SLICES = 10  # the spectator's camera at 10 Hz
SCENE_HEIGHT, SCENE_WIDTH = 240, 320
REQUEST_TIMEOUT_S = 30.0
MOST_STEPS = 1000
LONGEST_NAME = 200  # [characters] of a task


class MujocoRobotNode(DialNode):
    """The simulated robot as a lifecycle node."""

    PARAMETERS = {
        "task": Parameter("PlacematToPlate", "task in config/tasks"),
        "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
        "camera": Parameter("ego", "name of the embodiment's camera that is published"),
        "seed": Parameter(0, "seed of the first scene [1]", 0, 2**31 - 1),
        "target": Parameter(-1, "index of the object that the instruction names; -1: drawn from the seed [1]", -1, 100),
        "real_time_factor": Parameter(1.0, "simulated over wall time at most; 0: as fast as it goes [1]", 0.0, 100.0),
        "scene_camera": Parameter(False, "also publish image/scene, a view from the side"),
    }

    def __init__(self) -> None:
        super().__init__("mujoco_robot")
        self._thread: threading.Thread | None = None
        self._connections = ExitStack()  # destroys what `configure` created on topics and services
        self._judged: bool | None = None  # as last published
        self._inputs: dict[str, PolledSubscription] = {}  # by controller
        self._requests: queue.SimpleQueue[tuple[Callable[[], object], Future]] = queue.SimpleQueue()

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        self._embodiment = load_embodiment(self.value("embodiment"))
        self._camera = self._embodiment.camera(self.value("camera"))
        self._names = list(self._embodiment.joint_names)
        self._controllers = ControllerBank(self._embodiment, SLICE_NS)
        self._reported_origins: dict[str, int | None] = {}
        self._closing, self._paused, self._playing = False, False, False
        self._now_ns, self._slices, self._task = 0, 0, self.value("task")
        made: Future = Future()
        self._thread = threading.Thread(target=self._simulate, args=(made,), name="physics", daemon=True)
        self._thread.start()
        made.result()
        self._open_topics()
        # A second simulation in this DDS domain (or a driver) would mix its clock and joints with this one's.
        self.require_sole_publishers(published=["/clock", "joint_states", f"image/{self._camera.name}"])

    def _open_topics(self) -> None:
        self._clock_out = self._publisher(Clock, "/clock", qos.SENSOR)
        self._joints_out = self._publisher(JointState, "joint_states", qos.SENSOR)
        self._image_out = self._publisher(Image, f"image/{self._camera.name}", qos.SENSOR)
        self._scene_out = self._publisher(Image, "image/scene", qos.SENSOR) if self.value("scene_camera") else None
        self._set_points_out = self._publisher(JointState, "~/set_points", qos.EVENTS)
        self._target_out = self._publisher(PointStamped, "~/target", qos.SENSOR)  # of the object to move, in the base frame [m]
        self._success_out = self._publisher(Bool, "~/success", qos.LATCHED)
        self._rejected_out = self._publisher(String, "~/rejected", qos.EVENTS)
        self._joints_of = {c.name: list(c.joints) for c in self._embodiment.controllers}
        self._references_out = {name: self._publisher(JointTrajectory, f"{name}/reference", qos.SENSOR) for name in self._joints_of}
        # Read by the physics thread itself: a busy executor must not make a trajectory late.
        self._inputs = {n: PolledSubscription(self, JointTrajectory, f"{n}/joint_trajectory", qos.LATEST) for n in self._joints_of}
        services = (
            (ResetWorld, "~/reset", self._on_reset),
            (SetBool, "~/set_pause", self._on_set_pause),
            (StepWorld, "~/step", self._on_step),
        )
        for kind, name, answer in services:
            self._connections.callback(self.destroy_service, self.create_service(kind, name, answer))

    def _publisher(self, kind: type, topic: str, profile: QoSProfile) -> Publisher:
        publisher = self.create_publisher(kind, topic, profile)
        self._connections.callback(self.destroy_publisher, publisher)
        return publisher

    def activate(self) -> None:
        self._judged, self._playing = None, True  # nothing was published yet

    def deactivate(self) -> None:
        self._playing = False

    def cleanup(self) -> None:
        if self._thread is None:
            return
        self._closing = True
        self._thread.join()
        self._thread = None
        self._connections.close()
        while self._inputs:
            self._inputs.popitem()[1].close()

    # -- requests (executor thread) ------------------------------------------------------------------------------

    def _on_reset(self, request: ResetWorld.Request, response: ResetWorld.Response) -> ResetWorld.Response:
        try:
            target = None if request.target < 0 else request.target
            self._in_physics(lambda: self._reset(request.task or self._task, request.seed, target))
            response.success, response.instruction = True, self._world.instruction
        except (DialError, ValueError) as error:
            response.message = str(error)
        except TimeoutError:
            response.message = f"the simulation did not answer within {REQUEST_TIMEOUT_S:.0f} s"
        return response

    def _on_set_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._paused = request.data
        response.success, response.message = True, "paused" if request.data else "running"
        return response

    def _on_step(self, request: StepWorld.Request, response: StepWorld.Response) -> StepWorld.Response:
        if not self._playing or not self._paused:
            response.message = "the world steps only while it is active and paused; call mujoco_robot/set_pause first"
        elif not 1 <= request.steps <= MOST_STEPS:
            response.message = f"steps is {request.steps}; give 1 to {MOST_STEPS} periods of {SLICE_NS / NANOSECONDS} s"
        else:
            try:
                self._in_physics(lambda: self._advance(request.steps))
                response.success = True
            except TimeoutError:
                response.message = f"the simulation did not answer within {REQUEST_TIMEOUT_S:.0f} s; it continues stepping"
        response.stamp = to_time(self._now_ns)
        return response

    def _in_physics(self, action: Callable[[], object]) -> object:
        """Runs `action` in the physics thread between two slices and gives its result, or raises its exception."""
        done: Future = Future()
        self._requests.put((action, done))
        return done.result(timeout=REQUEST_TIMEOUT_S)

    # -- physics thread ------------------------------------------------------------------------------------------

    def _simulate(self, made: Future) -> None:
        try:
            target = None if self.value("target") < 0 else self.value("target")
            self._world = World(self._task, self._embodiment)
            self._world.reset(self.value("seed"), target)
            self._hold_here()
            self._check_cameras()
        except BaseException as error:
            made.set_exception(error)
            return
        made.set_result(None)
        try:
            self._loop()
        except BaseException as error:
            self.fail_with(error)
        finally:
            self._world.close()

    def _check_cameras(self) -> None:
        """Renders each once: an unknown camera is reported now, and the rendering context is made before the clock runs."""
        for camera in (self._camera.name, "scene") if self.value("scene_camera") else (self._camera.name,):
            try:
                self._world.render(camera)
            except ValueError as error:
                raise DialError(f"the world of task '{self._task}' has no camera '{camera}': {error}") from error

    def _loop(self) -> None:
        deadline_s = time.monotonic()
        while not self._closing:
            self._serve()
            if not self._playing or self._paused:
                if not self._playing:
                    self._drain()
                time.sleep(0.01)
                deadline_s = time.monotonic()
                continue
            self._slice()
            factor = self.value("real_time_factor")
            if factor > 0:
                # A slice that came late is not caught up with: simulated time then runs slower than asked for.
                deadline_s = max(deadline_s + SLICE_NS / NANOSECONDS / factor, time.monotonic() - SLICE_NS / NANOSECONDS)
                time.sleep(max(deadline_s - time.monotonic(), 0.0))

    def _serve(self) -> None:
        while not self._requests.empty():
            action, done = self._requests.get()
            try:
                done.set_result(action())
            except BaseException as error:
                done.set_exception(error)

    def _advance(self, slices: int) -> None:
        for _ in range(slices):
            self._slice()

    def _slice(self) -> None:
        """10 ms: controllers, physics, messages."""
        self._receive()
        self._now_ns += SLICE_NS
        set_points = self._controllers.advance(self._now_ns)
        self._world.advance(set_points, SLICE_NS / NANOSECONDS)
        self._slices += 1
        stamp = to_time(self._now_ns)
        self._clock_out.publish(Clock(clock=stamp))
        if self._set_points_out.get_subscription_count():
            commanded = JointState(name=self._names, position=set_points.tolist())
            commanded.header.stamp = stamp
            self._set_points_out.publish(commanded)
        self._publish_joints(stamp)
        self._publish_references()
        if self._slices % CONTROL_SLICES == 0:
            self._judge()
            self._publish_target(stamp)
            self._publish_image(self._image_out, self._camera.name, self._camera.height, self._camera.width, self._camera.frame)
        if self._scene_out and self._slices % SCENE_SLICES == 0:
            self._publish_image(self._scene_out, "scene", SCENE_HEIGHT, SCENE_WIDTH, "world")

    def _receive(self) -> None:
        for name, subscription in self._inputs.items():
            while (taken := subscription.take()) is not None:
                if why := self._controllers.accept(name, taken.message):
                    self._rejected_out.publish(String(data=why))
                    self.complain(name, why, grave=True)

    def _drain(self) -> None:
        for subscription in self._inputs.values():
            while subscription.take() is not None:
                pass

    def _publish_references(self) -> None:
        """What each controller executes: at once when it begins a trajectory, and at 20 Hz."""
        for name, (origin_ns, positions, velocities) in self._controllers.references().items():
            due = self._slices % CONTROL_SLICES == 0 or origin_ns != self._reported_origins.get(name)
            if due and (publisher := self._references_out[name]).get_subscription_count():
                self._reported_origins[name] = origin_ns
                publisher.publish(reference_to_message(self._joints_of[name], self._now_ns, origin_ns, positions, velocities))

    def _publish_joints(self, stamp) -> None:
        message = JointState(name=self._names)
        message.header.stamp = stamp
        message.position = self._world.joint_positions().tolist()
        message.velocity = self._world.joint_velocities().tolist()
        self._joints_out.publish(message)

    def _publish_target(self, stamp) -> None:
        message = PointStamped()
        message.header.stamp, message.header.frame_id = stamp, self._embodiment.base
        message.point.x, message.point.y, message.point.z = self._world.target_position().tolist()
        self._target_out.publish(message)

    def _publish_image(self, publisher, camera: str, height: int, width: int, frame: str) -> None:
        publisher.publish(image_to_message(self._world.render(camera, height, width), self._now_ns, frame))

    def _judge(self) -> None:
        success = self._world.success()
        if success is not self._judged:
            self._judged = success
            self._success_out.publish(Bool(data=success))

    def _reset(self, task: str, seed: int, target: int | None) -> None:
        if len(task) > LONGEST_NAME:
            raise DialError(f"the task's name has {len(task)} characters, at most {LONGEST_NAME} are read")
        if seed < 0:
            raise DialError(f"seed {seed} is negative; give 0 or more")
        world = self._world if task == self._task else World(task, self._embodiment)
        world.reset(seed, target)  # what it refuses leaves the old world as it was
        if world is not self._world:
            self._world.close()
            self._world, self._task = world, task
        self._drain()  # what waits was meant for the old world
        self._now_ns = self._slices = 0
        self._hold_here()
        self._judged = None
        self._clock_out.publish(Clock(clock=to_time(0)))

    def _hold_here(self) -> None:
        self._controllers.hold(self._world.set_points, self._now_ns)

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        values = {
            "simulated_s": self._now_ns / NANOSECONDS,
            "accepted_trajectories": self._controllers.accepted,
            "rejected_trajectories": self._controllers.rejected,
            "outdated_trajectories": self._controllers.outdated,
            "last_rejection": self._controllers.last_rejection,
            "instruction": self._world.instruction,
        }
        return DiagnosticStatus.OK, "paused" if self._paused else "running", values


def main() -> int:
    """Entry point; the exit status."""
    return run(MujocoRobotNode)


if __name__ == "__main__":
    sys.exit(main())
