"""Where the head camera sits. Data only."""

import numpy as np

from dial_core.config import Config

Vector = tuple[float, float, float]


class CameraMount(Config):
    """Pose of the head camera: its place on the body and its direction of view."""

    name: str
    body: str
    position: Vector  # [m]
    pitch_down_rad: float
    yaw_rad: float
    field_of_view_rad: float  # vertical

    def rotation(self) -> np.ndarray:
        """The camera's axes on its body, columns of (3, 3): the image's right is x, its up y, the view along -z."""
        pitch, yaw = self.pitch_down_rad, self.yaw_rad
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        view = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)])
        return np.stack([right, np.cross(right, view), -view], axis=1)
