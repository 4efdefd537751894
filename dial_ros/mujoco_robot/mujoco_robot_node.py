"""Node `mujoco_robot`: a simulated robot with its trajectory controllers, its camera and its clock.

A physics thread steps the world in slices of 10 ms, at most at `real_time_factor`: the controllers accept new trajectories
and compute set-points (at `controller_rate_hz`), the world advances, /clock and joint_states are published; every 50 ms the
camera's image and the success. The executor's thread serves requests. MuJoCo's rendering context belongs to the physics
thread, so the world is created there. While paused, the world advances only by the service `step`, as fast as possible.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial

from diagnostic_msgs.msg import DiagnosticStatus
from std_srvs.srv import SetBool

from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_core.sim.world import World
from dial_ros.mujoco_robot.controller_bank import LEAST_RATE_HZ, ControllerBank
from dial_ros.mujoco_robot.mujoco_robot_parameters import PARAMETERS
from dial_ros.mujoco_robot.robot_topics import RobotTopics
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.messages import to_time
from dial_ros.node.process import run
from dial_ros.srv import ResetWorld, StepWorld

SLICE_NS = NANOSECONDS // LEAST_RATE_HZ  # controllers accept new trajectories at its beginning
CONTROL_SLICES = 5  # slices a control step: camera and judgement at 20 Hz
SCENE_SLICES = 10  # the spectator's camera at 10 Hz
SCENE_HEIGHT, SCENE_WIDTH = 240, 320
REQUEST_TIMEOUT_S = 30.0
MOST_STEPS = 1000
LONGEST_NAME = 200  # [characters] of a task


class MujocoRobotNode(DialNode):
    """The simulated robot as a lifecycle node."""

    PARAMETERS = PARAMETERS

    def __init__(self) -> None:
        super().__init__("mujoco_robot")
        self._thread: threading.Thread | None = None
        self._connections = ExitStack()  # destroys what `configure` created on topics and services
        self._judged: bool | None = None  # as last published
        self._requests: queue.SimpleQueue[tuple[Callable[[], object], Future]] = queue.SimpleQueue()

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        self._embodiment = load_embodiment(self.value("embodiment"))
        self._camera = self._embodiment.camera(self.value("camera"))
        self._controllers = ControllerBank(self._embodiment, self.value("controller_rate_hz"))
        self._closing, self._paused, self._playing = False, False, False
        self._now_ns, self._slices, self._task = 0, 0, self.value("task")
        self._topics = RobotTopics(self, self._embodiment, self._camera, self.value("scene_camera"))
        self._connections.callback(self._topics.close)
        made: Future = Future()
        self._thread = threading.Thread(target=self._simulate, args=(made,), name="physics", daemon=True)
        self._thread.start()
        made.result()
        services = (
            (ResetWorld, "~/reset", self._on_reset),
            (SetBool, "~/set_pause", self._on_set_pause),
            (StepWorld, "~/step", self._on_step),
        )
        for kind, name, answer in services:
            self._connections.callback(self.destroy_service, self.create_service(kind, name, answer))
        for controller in self._embodiment.controllers:
            switch = partial(self._on_set_active, controller.name)
            self._connections.callback(self.destroy_service, self.create_service(SetBool, f"{controller.name}/set_active", switch))
        # A second simulation in this DDS domain (or a driver) would mix its clock and joints with this one's.
        self.require_sole_publishers(published=["/clock", "joint_states", f"image/{self._camera.name}"])

    def activate(self) -> None:
        self._judged, self._playing = None, True  # nothing was published yet

    def deactivate(self) -> None:
        self._playing = False

    def cleanup(self) -> None:
        if self._thread is not None:
            self._closing = True
            self._thread.join()
            self._thread = None
        self._connections.close()

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

    def _on_set_active(self, name: str, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._controllers.set_active(name, request.data)
        response.success, response.message = True, f"{name} is {'active' if request.data else 'inactive'}"
        return response

    def _in_physics(self, action: Callable[[], object]) -> object:
        """Runs `action` in the physics thread between two slices; returns its result or raises its exception."""
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
                    self._drop_received()
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
        """Advances controllers and physics by one slice and publishes."""
        self._receive()
        begin_ns, self._now_ns = self._now_ns, self._now_ns + SLICE_NS
        updates_ns, set_points = self._controllers.advance_through(begin_ns, SLICE_NS)
        self._world.advance(set_points[-1], SLICE_NS / NANOSECONDS)
        self._slices += 1
        control_step = self._slices % CONTROL_SLICES == 0
        self._topics.publish_clock(self._now_ns)
        self._topics.publish_set_points(begin_ns, updates_ns, set_points)
        self._topics.publish_joints(self._now_ns, self._world.joint_positions(), self._world.joint_velocities())
        self._topics.publish_references(self._now_ns, self._controllers.references(), periodic=control_step)
        if control_step:
            self._judge()
            self._topics.publish_target(self._now_ns, self._world.target_position())
            self._topics.publish_image(self._now_ns, self._world.render(self._camera.name, self._camera.height, self._camera.width))
        if self.value("scene_camera") and self._slices % SCENE_SLICES == 0:
            self._topics.publish_scene(self._now_ns, self._world.render("scene", SCENE_HEIGHT, SCENE_WIDTH))

    def _receive(self) -> None:
        for controller, message in self._topics.trajectories():
            if why := self._controllers.accept(controller, message):
                self._topics.publish_rejected(why)
                self.complain(controller, why, grave=True)

    def _drop_received(self) -> None:
        for _ in self._topics.trajectories():
            pass

    def _judge(self) -> None:
        success = self._world.success()
        if success is not self._judged:
            self._judged = success
            self._topics.publish_success(success)

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
        self._drop_received()  # what waits was meant for the old world
        self._now_ns = self._slices = 0
        self._hold_here()
        self._judged = None
        self._topics.publish_clock(0)

    def _hold_here(self) -> None:
        self._controllers.hold(self._world.set_points, self._now_ns)

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        values = {
            "simulated_s": self._now_ns / NANOSECONDS,
            "accepted_trajectories": self._controllers.accepted,
            "rejected_trajectories": self._controllers.rejected,
            "outdated_trajectories": self._controllers.outdated,
            "ignored_trajectories": self._controllers.ignored,
            "last_rejection": self._controllers.last_rejection,
            "instruction": self._world.instruction,
        }
        return DiagnosticStatus.OK, "paused" if self._paused else "running", values


def main() -> int:
    """Entry point; the exit status."""
    return run(MujocoRobotNode)


if __name__ == "__main__":
    sys.exit(main())
