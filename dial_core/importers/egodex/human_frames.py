"""The frame in which a person's wrists are expressed: the first camera's, or one that lies as the robot's base does.

Frames, all right-handed, metres. `T_ab` takes coordinates in b to coordinates in a.

world     ARKit's: y up, x and z level, origin where the recording began.
camera    x right, y down, z forward (OpenCV's); EgoDex's `transforms/camera` is T_world_camera in this convention.
camera0   the camera frame of the episode's first frame; it stays there while the head moves.
robot     x forward, y left, z up, as the robot's base (REP-103): x is the first camera's view made level, z is up, and the
          first camera stands where the robot's head camera does. A hand in front of the person is in front of the robot.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from dial_core.robot.rotations import rotation_to_6d

Frame = Literal["robot", "camera"]
FRAMES = ("robot", "camera")

# The GR1's head camera at its home pose, in its base frame [m] (a test compares it with the world's).
EYE_IN_BASE_M = (0.071, -0.1001, 0.5475)
REST_M = {"left": (0.25, 0.2, 0.1), "right": (0.25, -0.2, 0.1)}  # in the frame `robot` [m]
_UP = np.array([0.0, 1.0, 0.0])
_LEVEL_ENOUGH = 0.1  # a view whose level part is shorter points straight down or up: then the image's top says where ahead is


def frame_from_world(first_camera: np.ndarray, frame: Frame, eye_in_base: tuple[float, float, float] = EYE_IN_BASE_M) -> np.ndarray:
    """T_frame_world (4, 4) for an episode whose first camera pose is `first_camera` T_world_camera (4, 4)."""
    if frame == "camera":
        return inverse(first_camera)
    right, down, forward = first_camera[:3, 0], first_camera[:3, 1], first_camera[:3, 2]
    ahead = forward - (forward @ _UP) * _UP
    if np.linalg.norm(ahead) < _LEVEL_ENOUGH:
        looks_down = forward @ _UP < 0
        ahead = -down if looks_down else down
        ahead = ahead - (ahead @ _UP) * _UP
    if np.linalg.norm(ahead) < _LEVEL_ENOUGH:  # the head lies on its side: right is level at least
        ahead = np.cross(_UP, right)
    ahead = ahead / np.linalg.norm(ahead)
    transform = np.eye(4)
    transform[:3, :3] = np.stack([ahead, np.cross(_UP, ahead), _UP])
    transform[:3, 3] = np.array(eye_in_base) - transform[:3, :3] @ first_camera[:3, 3]
    return transform


def resting_wrist(side: str, first_camera: np.ndarray, eye_in_base: tuple[float, float, float] = EYE_IN_BASE_M) -> np.ndarray:
    """T_world_wrist (4, 4) of a hand that lies on the table: where a wrist that was never seen is said to be."""
    pose = np.eye(4)
    pose[:3, 3] = REST_M[side]
    return inverse(frame_from_world(first_camera, "robot", eye_in_base)) @ pose


def wrist_vectors(left: np.ndarray, right: np.ndarray, frame_world: np.ndarray) -> np.ndarray:
    """End-effector vectors (T, 18) of wrists T_world_wrist (T, 4, 4) each: position 3 [m], 6D rotation 6, left then right."""
    parts = []
    for wrist in (left, right):
        expressed = frame_world @ wrist
        parts += [expressed[:, :3, 3], rotation_to_6d(expressed[:, :3, :3])]
    return np.concatenate(parts, 1)


def inverse(transform: np.ndarray) -> np.ndarray:
    """Inverse (4, 4) of a rigid transform."""
    rotation = transform[:3, :3].T
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = rotation, -rotation @ transform[:3, 3]
    return result
