"""The true GR1 with Fourier hands at a table of robosuite, as a gymnasium environment with the original benchmark's keys.

Run by the environment server, in an environment with robosuite 1.5.1. It stands in for robocasa-gr1-tabletop-tasks, whose
assets are not on PyPI: same robot, joint controllers, control rate, hand order and units, camera and image.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import robosuite
from PIL import Image
from robosuite.controllers import load_composite_controller_config
from robosuite.models.robots import GR1
from robosuite.robots import register_robot_class

ARM = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow_pitch", "wrist_yaw", "wrist_roll", "wrist_pitch")
# One number a finger, pinky first: the angle of its outer hinge in the state, the target of both hinges in an action.
HAND = (
    "pinky_intermediate_joint",
    "ring_intermediate_joint",
    "middle_intermediate_joint",
    "index_intermediate_joint",
    "thumb_proximal_pitch_joint",
    "thumb_proximal_yaw_joint",
)
JOINTS = {
    "left_arm": tuple(f"robot0_l_{name}" for name in ARM),
    "right_arm": tuple(f"robot0_r_{name}" for name in ARM),
    "left_hand": tuple(f"gripper0_left_L_{name}" for name in HAND),
    "right_hand": tuple(f"gripper0_right_R_{name}" for name in HAND),
    "waist": tuple(f"robot0_torso_waist_{axis}" for axis in ("yaw", "pitch", "roll")),
}
PARTS = {"left_arm": "left", "right_arm": "right", "left_hand": "left_gripper", "right_hand": "right_gripper", "waist": "torso"}
IMAGE = "video.ego_view_bg_crop_pad_res256_freq20"
INSTRUCTION = "annotation.human.coarse_action"
CAMERA, HEIGHT, WIDTH = "robot0_robotview", 800, 1280
VIEW = (slice(310, 770), slice(110, 1130))  # rows and columns of 800x1280 that the benchmark shows
TASKS = {"Lift": "pick up the red cube"}


@register_robot_class("LeggedRobot")
class GR1ArmsAndWaistOnStand(GR1):
    """Arms, hands and waist; legs, head and base do not move."""

    def __init__(self, idn: int = 0) -> None:
        super().__init__(idn=idn)
        for part in ("leg", "head"):
            self._remove_joint_actuation(part)
        self._remove_free_joint()

    @property
    def init_qpos(self) -> np.ndarray:
        """Waist 3, right arm 7, left arm 7 [rad]: elbows at a right angle."""
        right, left = [0.0, -0.1, 0.0, -1.57, 0.0, 0.0, 0.0], [0.0, 0.1, 0.0, -1.57, 0.0, 0.0, 0.0]
        return np.array([0.0] * 3 + right + left)


class RobosuiteGR1(gymnasium.Env):
    """One task of robosuite; observations and actions as in robocasa-gr1-tabletop-tasks."""

    def __init__(self, task: str = "Lift", camera: str = CAMERA) -> None:
        self._task, self._camera = task, camera
        controllers = load_composite_controller_config(controller=None, robot="GR1")
        controllers |= {"type": "BASIC", "composite_controller_specific_configs": {}, "control_delta": False}
        self.env = robosuite.make(
            task,
            robots="GR1ArmsAndWaistOnStand",
            controller_configs=controllers,
            has_renderer=False,
            has_offscreen_renderer=True,
            use_camera_obs=False,
            control_freq=20,
            ignore_done=True,
        )
        widths = {name: (len(joints),) for name, joints in JOINTS.items()}
        angles = {name: gymnasium.spaces.Box(-np.pi, np.pi, shape, np.float32) for name, shape in widths.items()}
        self.observation_space = gymnasium.spaces.Dict(
            {f"state.{name}": space for name, space in angles.items()}
            | {IMAGE: gymnasium.spaces.Box(0, 255, (256, 256, 3), np.uint8), INSTRUCTION: gymnasium.spaces.Text(256)}
        )
        self.action_space = gymnasium.spaces.Dict({f"action.{name}": space for name, space in angles.items()})
        self._image: Any = np.zeros((256, 256, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new scene; robosuite's placement draws from numpy's global generator."""
        np.random.seed(seed)
        self.env.reset()
        return self.look(), {"success": False}

    def step(self, action: dict[str, np.ndarray]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step of 0.05 s towards absolute joint targets [rad]. The image is the last one looked at."""
        places = self.env.robots[0].composite_controller._action_split_indexes
        targets = np.zeros(self.env.action_dim)
        for name, part in PARTS.items():
            first, last = places[part]
            targets[first:last] = action[f"action.{name}"]
        _, reward, _, _ = self.env.step(targets)
        return self._observation(), float(reward), False, False, {"success": bool(self.env._check_success())}

    def look(self) -> dict[str, Any]:
        """The observation with a new image: 800x1280, the benchmark's part of it, between black bars, 256x256."""
        pixels = self.env.sim.render(camera_name=self._camera, width=WIDTH, height=HEIGHT)[::-1][VIEW]
        shown = np.asarray(Image.fromarray(pixels).resize((720, 480), Image.Resampling.BILINEAR))
        padded: Any = np.pad(shown, ((120, 120), (0, 0), (0, 0)))
        self._image = np.asarray(Image.fromarray(padded).resize((256, 256), Image.Resampling.BILINEAR))
        return self._observation()

    def close(self) -> None:
        """Frees the renderer."""
        self.env.close()

    def _observation(self) -> dict[str, Any]:
        qpos = {name: np.array([self.env.sim.data.get_joint_qpos(joint) for joint in joints]) for name, joints in JOINTS.items()}
        return {f"state.{name}": values for name, values in qpos.items()} | {IMAGE: self._image, INSTRUCTION: TASKS[self._task]}


def _make(**kwargs: Any) -> RobosuiteGR1:
    return RobosuiteGR1(**kwargs)


for _task in TASKS:
    gymnasium.register(f"dial/{_task}GR1", entry_point=_make, kwargs={"task": _task}, disable_env_checker=True)
