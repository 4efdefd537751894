"""The compiled model of a table: robot, table, lights, cameras and a slot for each type of thing on it."""

import mujoco
import numpy as np

from dial_core.robot.embodiment import Embodiment
from dial_core.sim.appearances import Appearance
from dial_core.sim.camera import CameraMount
from dial_core.sim.catalogue import ObjectType
from dial_core.sim.objects import add_object
from dial_core.sim.patterns import paint
from dial_core.sim.robot import STATIC_CONTACT, add_robot

TIMESTEP_S = 0.002
SCENE_CAMERA_M = (1.05, 0.75, 0.75)  # the spectator's camera `scene`, in front of the robot and to its left [m]
SCENE_TARGET_M = (0.15, -0.05, 0.18)
SCENE_VIEW_DEG = 42.0
TABLE_TOP_M = 0.04  # above the robot's base frame
TABLE_EDGE_M = 0.12  # in front of the robot's base frame
TEXTURE_PX = 256  # side of the table's texture


def build_model(
    embodiment: Embodiment, types: list[ObjectType], appearance: Appearance | None = None, camera: CameraMount | None = None
) -> mujoco.MjModel:
    """Compiles the model: robot, table and one slot for each object type; `camera` instead of the head camera's own mount."""
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
    surface = {"material": _add_appearance(spec, appearance)} if appearance else {}
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[TABLE_EDGE_M + half[0], 0, TABLE_TOP_M - half[2]],
        size=half,
        friction=[1.0, 0.01, 0.001],
        condim=4,
        **surface,
        **STATIC_CONTACT,
    )
    towards = _looking_at(np.array(SCENE_CAMERA_M), np.array(SCENE_TARGET_M))
    spec.worldbody.add_camera(name="scene", pos=SCENE_CAMERA_M, quat=towards, fovy=SCENE_VIEW_DEG)
    add_robot(spec, embodiment, camera)
    for kind in types:
        add_object(spec, kind)
    return spec.compile()


def _add_appearance(spec: mujoco.MjSpec, appearance: Appearance) -> str:
    """Adds texture, floor and lights of `appearance` to `spec`; returns the name of the table's material."""
    pixels = paint(appearance.pattern, appearance.colours, TEXTURE_PX)
    texture = spec.add_texture(name="table", type=mujoco.mjtTexture.mjTEXTURE_2D, width=TEXTURE_PX, height=TEXTURE_PX, nchannel=3)
    texture.data = pixels.tobytes()
    material = spec.add_material(name="table", specular=0.1, shininess=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "table"
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[0.6, 0, -0.76],
        size=[2.5, 2.5, 0.01],
        rgba=[*appearance.floor, 1],
        contype=0,
        conaffinity=0,
    )
    spec.visual.headlight.ambient = list(appearance.ambient)
    sun = spec.worldbody.lights[0]
    sun.diffuse, sun.dir = list(appearance.light), [-value for value in appearance.light_from]
    return "table"


def _looking_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Orientation (4,) wxyz of an upright camera at `eye` (3,) [m] with `target` (3,) [m] in the middle of its image."""
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([right, np.cross(back, right), back], 1).ravel())
    return quaternion
