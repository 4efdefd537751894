"""The simulated world of a task: one MuJoCo model and its state, driven by joint set-points."""

import threading
from functools import cached_property

import mujoco
import numpy as np

from dial_core.robot.embodiment import Embodiment, load_embodiment
from dial_core.sim.appearances import Appearance
from dial_core.sim.catalogue import load_object
from dial_core.sim.judgement import placed_objects, succeeded
from dial_core.sim.objects import ObjectSlot, ObjectSpec
from dial_core.sim.robot import coupled_hinges
from dial_core.sim.scene import SceneSpec, sample_scene
from dial_core.sim.table_model import TABLE_TOP_M, TIMESTEP_S, build_model
from dial_core.sim.task import Task, load_task

HOME_NOISE_RAD = 0.02
SETTLE_STEPS = 50
SLOTS_AT_MOST = 8  # a task with more types has its model compiled for the types of each scene


class _Renderers(threading.local):
    """Each thread's own, by image shape: a rendering context that is current in one thread, even one that has ended, serves no other."""

    def __init__(self) -> None:
        self.by_shape: dict[tuple[int, int], mujoco.Renderer] = {}


class World:
    """One task's table with the robot at it; no ROS, no gym. Frames: the robot's base; units SI.

    Threads may use it one after another, not at once.
    """

    def __init__(self, task: str | Task = "PlacematToPlate", embodiment: Embodiment | None = None, image_size: int = 96) -> None:
        self.task = load_task(task) if isinstance(task, str) else task
        self.embodiment = embodiment or load_embodiment()
        self.image_size = image_size
        self.types = {name: load_object(name) for name in self.task.object_types}
        self._renderers = _Renderers()
        self._compiled: tuple = ()
        self.scene: SceneSpec
        self.reset(0)

    def _compile(self, scene: SceneSpec) -> None:
        """Builds the model for the scene's types and appearance, unless it is there already."""
        names = tuple(self.types) if len(self.types) <= SLOTS_AT_MOST else tuple(thing.type for thing in scene.things)
        mirrored = scene.hand != self.task.hand and scene.hand == "left"
        wanted = (names, scene.appearance, mirrored)
        if wanted != self._compiled:
            self.close()
            self._build(names, scene.appearance, mirrored)
            self._compiled = wanted

    def _build(self, types: tuple[str, ...], appearance: Appearance | None, mirrored: bool) -> None:
        kinds = [self.types[name].mirrored() if mirrored else self.types[name] for name in types]
        self.model = build_model(self.embodiment, kinds, appearance, self.task.camera)
        self.data = mujoco.MjData(self.model)
        self.slots = {kind.name: ObjectSlot(self.model, kind) for kind in kinds}
        hinges = coupled_hinges(self.embodiment)
        first = [self.model.joint(names[0]) for names in hinges]
        last = [self.model.joint(names[-1]) for names in hinges]
        self._qpos = np.array([[a.qposadr[0], b.qposadr[0]] for a, b in zip(first, last, strict=True)])
        self._dofs = np.array([[a.dofadr[0], b.dofadr[0]] for a, b in zip(first, last, strict=True)])
        # A hinge alone would be counted twice in a sum of two columns.
        self._weights = np.array([[1.0, float(len(names) > 1)] for names in hinges])
        self._table = self.model.geom("table").id
        self.grasp_sites = [self.model.site(f"{side}_grasp").id for side in ("left", "right")]

    @property
    def hand(self) -> str:
        """The hand that works in this scene: `left` or `right`."""
        return self.scene.hand

    @property
    def grasp_site(self) -> int:
        """Site of the working hand where a grasped object's centre is."""
        return int(self.model.site(f"{self.hand}_grasp").id)

    @property
    def palm_geom(self) -> int:
        """The working hand's palm."""
        return int(self.model.geom(f"{self.hand[0]}_palm").id)

    @property
    def hand_bodies(self) -> list[int]:
        """The working hand's palm and everything that hangs on it."""
        palm = int(self.model.geom_bodyid[self.palm_geom])
        return [palm, *(b for b in range(palm + 1, self.model.nbody) if self._under(b, palm))]

    # -- scene ---------------------------------------------------------------------------------------------------

    def reset(self, seed: int, target: int | None = None) -> None:
        """Samples the scene of `seed` and puts the robot near its home pose. `target`: index of the object to name."""
        scene = sample_scene(self.task, self.types, seed, target)
        noise = np.random.default_rng([seed, 1]).normal(0.0, HOME_NOISE_RAD, len(self.embodiment.joints))
        arm = self.embodiment.group_slice(f"{scene.hand}_arm")
        pose = self.embodiment.home_position.copy()
        joints = slice(arm.start - self.embodiment.joint_slice.start, arm.stop - self.embodiment.joint_slice.start)
        pose[joints] += noise[joints]
        self._compile(scene)
        self.scene = scene
        self.lay_out(scene.things, None if scene.appearance else scene.table_colour)
        self.put_robot(pose)
        mujoco.mj_step(self.model, self.data, nstep=SETTLE_STEPS)
        self.data.time = 0.0

    def name_target(self, target: int) -> None:
        """Makes the scene's instruction name the object of this index; nothing on the table or of the robot moves."""
        self.scene = sample_scene(self.task, self.types, self.scene.seed, target)

    def lay_out(self, things: tuple[ObjectSpec, ...], table_colour: tuple[float, float, float] | None) -> None:
        """Shows exactly `things` on the table, standing, everything at rest and time zero. No colour: the appearance's texture."""
        mujoco.mj_resetData(self.model, self.data)
        if table_colour:
            self.model.geom_rgba[self._table, :3] = table_colour
        shown = {thing.type: thing for thing in things}
        for name, slot in self.slots.items():
            if name not in shown:
                slot.hide(self.model, self.data)
                continue
            slot.show(self.model, shown[name])
            slot.stand(self.model, self.data, shown[name], TABLE_TOP_M)
        keep = self.data.qpos.copy()
        mujoco.mj_setConst(self.model, self.data)
        self.data.qpos[:] = keep

    def put_robot(self, joints: np.ndarray) -> None:
        """Teleports the robot to `joints` (29,) [rad] with its set-points there and updates all poses."""
        joints = np.clip(joints, self.embodiment.lower, self.embodiment.upper)
        share = joints[:, None] * np.where(self._weights[:, 1:] > 0, 0.5, 1.0)
        self.data.qpos[self._qpos[:, 0]] = share[:, 0]
        self.data.qpos[self._qpos[:, 1]] = share[:, 0]
        self.data.ctrl[:] = joints
        mujoco.mj_forward(self.model, self.data)

    @property
    def instruction(self) -> str:
        """The scene's instruction."""
        return self.scene.instruction

    @cached_property
    def robot_model(self) -> mujoco.MjModel:
        """The robot without table and objects, for kinematics."""
        return build_model(self.embodiment, [])

    # -- motion --------------------------------------------------------------------------------------------------

    @property
    def time_s(self) -> float:
        """Simulated time since the reset [s]."""
        return float(self.data.time)

    @property
    def set_points(self) -> np.ndarray:
        """Current targets of the servos (29,) [rad]."""
        return self.data.ctrl.copy()

    def advance(self, targets_29: np.ndarray, duration_s: float) -> None:
        """Ramps the set-points linearly to `targets_29` (29,) [rad] over `duration_s` (a multiple of 2 ms), with physics."""
        steps = max(1, round(duration_s / TIMESTEP_S))
        start = self.data.ctrl.copy()
        change = np.clip(targets_29, self.embodiment.lower, self.embodiment.upper) - start
        for step in range(1, steps + 1):
            self.data.ctrl[:] = start + change * (step / steps)
            mujoco.mj_step(self.model, self.data)

    def joint_positions(self) -> np.ndarray:
        """Measured joints in vector order (29,) [rad]; a finger reports the sum of its two hinges."""
        return np.sum(self.data.qpos[self._qpos] * self._weights, axis=1)

    def joint_velocities(self) -> np.ndarray:
        """Measured joint velocities in vector order (29,) [rad/s]."""
        return np.sum(self.data.qvel[self._dofs] * self._weights, axis=1)

    def target_position(self) -> np.ndarray:
        """Centre of the named object (3,) [m]."""
        return self.data.xpos[self.slots[self.scene.objects[self.scene.target].type].body].copy()

    def see_target_at(self, position: np.ndarray) -> None:
        """Takes the named object to be at `position` (3,) [m]: for an expert that plans beside another, moving world."""
        self.data.xpos[self.slots[self.scene.objects[self.scene.target].type].body] = position

    # -- images ------------------------------------------------------------------------------------------------

    def render(self, camera: str = "ego", height: int | None = None, width: int | None = None) -> np.ndarray:
        """The camera's image now: uint8 (H, W, 3) RGB."""
        shape = (height or self.image_size, width or self.image_size)
        renderer = self._renderers.by_shape.get(shape)
        if renderer is None or renderer.model is not self.model:  # another thread may have compiled the model anew
            renderer = self._renderers.by_shape[shape] = mujoco.Renderer(self.model, *shape)
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_HAZE):
                renderer.scene.flags[flag] = 0
        renderer.update_scene(self.data, camera=camera)
        return renderer.render()

    def close(self) -> None:
        """Frees the rendering contexts of the calling thread; another thread's are freed when it ends."""
        for renderer in self._renderers.by_shape.values():
            renderer.close()
        self._renderers.by_shape.clear()

    def project(self, point: np.ndarray, camera: str = "ego") -> tuple[float, float]:
        """Where `point` (3,) [m] appears in the square image: (x, y) [px], y downwards; outside of it if not in view."""
        eye = self.data.camera(camera)
        right, down, back = self.data.cam_xmat[eye.id].reshape(3, 3).T @ (point - eye.xpos) * [1, -1, 1]
        focal = self.image_size / 2 / np.tan(np.radians(self.model.cam_fovy[eye.id]) / 2)
        depth = max(-back, 1e-6)
        return self.image_size / 2 + focal * right / depth, self.image_size / 2 + focal * down / depth

    def sees(self, point: np.ndarray, bodies: set[int], camera: str = "ego") -> bool:
        """Whether the first thing on the way from the camera to `point` (3,) [m] belongs to one of `bodies`."""
        eye, geom = self.data.camera(camera).xpos, np.array([-1], dtype=np.int32)
        mujoco.mj_ray(self.model, self.data, eye, point - eye, None, 1, -1, geom)
        return geom[0] >= 0 and int(self.model.geom_bodyid[geom[0]]) in bodies

    def thumb_tip(self) -> np.ndarray:
        """The working hand's thumb tip (3,) [m]."""
        thumb = self.model.geom(f"{self.hand[0].upper()}_thumb_distal_link").id
        axis = self.data.geom_xmat[thumb].reshape(3, 3)[:, 2]
        return self.data.geom_xpos[thumb] + axis * self.model.geom_size[thumb, 1]

    def _under(self, body: int, ancestor: int) -> bool:
        while body > ancestor:
            body = self.model.body_parentid[body]
        return body == ancestor

    # -- judgement -----------------------------------------------------------------------------------------------

    def success(self) -> bool:
        """Whether the task is done, now: the named object rests in the target, hands away, the target closed if it can be."""
        return succeeded(self)

    def moved_objects(self) -> list[int]:
        """Indices of the scene's objects that are in or on the target."""
        return placed_objects(self)
