"""The world: one MuJoCo model and its state for a task. Joint set-points in, images and joint states out."""

from functools import cached_property

import mujoco
import numpy as np

from dial_core.embodiment import Embodiment, load_embodiment
from dial_core.sim.objects import ObjectSlot, ObjectSpec, add_object, load_object, yaw_quaternion
from dial_core.sim.robot import STATIC_CONTACT, add_robot, coupled_hinges
from dial_core.sim.scene import SceneSpec, sample_scene
from dial_core.sim.task import Task, load_task

TIMESTEP_S = 0.002
SCENE_CAMERA_M = (1.05, 0.75, 0.75)  # the spectator's camera `scene`, in front of the robot and to its left [m]
SCENE_TARGET_M = (0.15, -0.05, 0.18)
SCENE_VIEW_DEG = 42.0
TABLE_TOP_M = 0.04  # above the robot's base frame
TABLE_EDGE_M = 0.12  # in front of the robot's base frame
HOME_NOISE_RAD = 0.02
SETTLE_STEPS = 50

# When an object counts as put down.
REST_SPEED_M_S = 0.05
UPRIGHT_COS = 0.95
LANDING_M = 0.015  # between the object's bottom and the target's top
HAND_AWAY_M = 0.08  # from the grasp point to the object's centre


class World:
    """One task's table with the robot at it; no ROS, no gym. Frames: the robot's base; units SI."""

    def __init__(self, task: str | Task = "PlacematToPlate", embodiment: Embodiment | None = None, image_size: int = 96) -> None:
        self.task = load_task(task) if isinstance(task, str) else task
        self.embodiment = embodiment or load_embodiment()
        self.image_size = image_size
        self.types = {name: load_object(name) for name in self.task.object_types}
        self.model = build_model(self.embodiment, list(self.types.values()))
        self.data = mujoco.MjData(self.model)
        self.slots = {name: ObjectSlot(self.model, kind) for name, kind in self.types.items()}
        hinges = coupled_hinges(self.embodiment)
        first = [self.model.joint(names[0]) for names in hinges]
        last = [self.model.joint(names[-1]) for names in hinges]
        self._qpos = np.array([[a.qposadr[0], b.qposadr[0]] for a, b in zip(first, last, strict=True)])
        self._dofs = np.array([[a.dofadr[0], b.dofadr[0]] for a, b in zip(first, last, strict=True)])
        # A hinge alone would be counted twice in a sum of two columns.
        self._weights = np.array([[1.0, float(len(names) > 1)] for names in hinges])
        self._table = self.model.geom("table").id
        self.grasp_site = self.model.site(f"{self.task.hand}_grasp").id
        self.palm_geom = self.model.geom(f"{self.task.hand[0]}_palm").id
        palm = self.model.geom_bodyid[self.palm_geom]
        self.hand_bodies = [palm, *(b for b in range(palm + 1, self.model.nbody) if self._under(b, palm))]
        self._thumb = self.model.geom(f"{self.task.hand[0].upper()}_thumb_distal_link").id
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self.scene: SceneSpec
        self.reset(0)

    # -- scene ---------------------------------------------------------------------------------------------------

    def reset(self, seed: int, target: int | None = None) -> None:
        """Samples the scene of `seed` and puts the robot near its home pose. `target`: index of the object to name."""
        scene = sample_scene(self.task, self.types, seed, target)
        noise = np.random.default_rng([seed, 1]).normal(0.0, HOME_NOISE_RAD, len(self.embodiment.joints))
        arm = self.embodiment.group_slice(f"{self.task.hand}_arm")
        pose = self.embodiment.home_position.copy()
        joints = slice(arm.start - self.embodiment.joint_slice.start, arm.stop - self.embodiment.joint_slice.start)
        pose[joints] += noise[joints]
        self.scene = scene
        self.lay_out((*scene.objects, scene.source, scene.goal), scene.table_colour)
        self.put_robot(pose)
        mujoco.mj_step(self.model, self.data, nstep=SETTLE_STEPS)
        self.data.time = 0.0

    def lay_out(self, things: tuple[ObjectSpec, ...], table_colour) -> None:
        """Shows exactly `things` on the table, standing, everything at rest and time zero."""
        mujoco.mj_resetData(self.model, self.data)
        self.model.geom_rgba[self._table, :3] = table_colour
        shown = {thing.type: thing for thing in things}
        for name, slot in self.slots.items():
            if name not in shown:
                slot.hide(self.model, self.data)
                continue
            thing = shown[name]
            slot.show(self.model, thing)
            position = np.array([thing.x, thing.y, TABLE_TOP_M + thing.half_height])
            slot.place(self.model, self.data, position, yaw_quaternion(thing.yaw))
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
        """What the robot is asked to do."""
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
        """Where the servos pull to now (29,) [rad]."""
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

    # -- pictures ------------------------------------------------------------------------------------------------

    def render(self, camera: str = "ego", height: int | None = None, width: int | None = None) -> np.ndarray:
        """The camera's picture now: uint8 (H, W, 3) RGB."""
        shape = (height or self.image_size, width or self.image_size)
        if shape not in self._renderers:
            self._renderers[shape] = mujoco.Renderer(self.model, *shape)
            flags = self._renderers[shape].scene.flags
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_HAZE):
                flags[flag] = 0
        renderer = self._renderers[shape]
        renderer.update_scene(self.data, camera=camera)
        return renderer.render()

    def close(self) -> None:
        """Frees the rendering contexts."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def project(self, point: np.ndarray, camera: str = "ego") -> tuple[float, float]:
        """Where `point` (3,) [m] appears in the square picture: (x, y) [px], y downwards; outside of it if not in view."""
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
        axis = self.data.geom_xmat[self._thumb].reshape(3, 3)[:, 2]
        return self.data.geom_xpos[self._thumb] + axis * self.model.geom_size[self._thumb, 1]

    def _under(self, body: int, ancestor: int) -> bool:
        while body > ancestor:
            body = self.model.body_parentid[body]
        return body == ancestor

    # -- judgement -----------------------------------------------------------------------------------------------

    def success(self) -> bool:
        """Whether the named object stands at rest on the target with the hand away from it, now."""
        slot = self.slots[self.scene.objects[self.scene.target].type]
        still = np.linalg.norm(self.data.qvel[slot.qvel][:3]) < REST_SPEED_M_S
        away = np.linalg.norm(self.data.site_xpos[self.grasp_site] - self.data.xpos[slot.body]) > HAND_AWAY_M
        return bool(still and away and self.scene.target in self.moved_objects())

    def moved_objects(self) -> list[int]:
        """Indices of the scene's objects that stand upright on the target."""
        return [i for i, thing in enumerate(self.scene.objects) if self._on_target(thing)]

    def _on_target(self, thing: ObjectSpec) -> bool:
        slot, goal = self.slots[thing.type], self.scene.goal
        centre = self.data.xpos[slot.body]
        upright = self.data.xmat[slot.body].reshape(3, 3)[2, 2] > UPRIGHT_COS
        inside = np.linalg.norm(centre[:2] - goal.xy) < goal.radius
        bottom = centre[2] - thing.half_height - (TABLE_TOP_M + 2 * goal.half_height)
        return bool(upright and inside and abs(bottom) < LANDING_M)


def build_model(embodiment: Embodiment, types: list) -> mujoco.MjModel:
    """The compiled model: robot, table and one slot for each object type."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.timestep = TIMESTEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.headlight.ambient = [0.40, 0.40, 0.40]
    spec.visual.headlight.diffuse = [0.25, 0.25, 0.25]
    spec.visual.headlight.specular = [0.1, 0.1, 0.1]
    spec.worldbody.add_light(
        pos=[0.2, 0.8, 1.5],
        dir=[0.1, -0.5, -1],
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.35, 0.35, 0.35],
        specular=[0.05, 0.05, 0.05],
    )
    half = [0.4, 0.8, 0.02]
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[TABLE_EDGE_M + half[0], 0, TABLE_TOP_M - half[2]],
        size=half,
        friction=[1.0, 0.01, 0.001],
        condim=4,
        **STATIC_CONTACT,
    )
    look = _looking_at(np.array(SCENE_CAMERA_M), np.array(SCENE_TARGET_M))
    spec.worldbody.add_camera(name="scene", pos=SCENE_CAMERA_M, quat=look, fovy=SCENE_VIEW_DEG)
    add_robot(spec, embodiment)
    for kind in types:
        add_object(spec, kind)
    return spec.compile()


def _looking_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Orientation (4,) wxyz of an upright camera at `eye` (3,) [m] with `target` (3,) [m] in the middle of its picture."""
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([right, np.cross(back, right), back], 1).ravel())
    return quaternion
