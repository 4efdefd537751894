"""What a checkpoint was made for; whoever uses it must match."""

from __future__ import annotations

from dial_core.config import Config
from dial_core.embodiment import Embodiment
from dial_core.errors import DialError


class Contract(Config):
    """Travels in every checkpoint as `contract.json`.

    Attributes:
        embodiment: name of the robot.
        joint_names: in vector order.
        camera: name of the camera.
        height, width: of its images [px].
        rate_hz: of the actions in a chunk.
        horizon: actions in a chunk.
        state_dim: width of the state in physical units.
        action_dim: width of an action.
        foresight_shape: (N, d).
        model_id: short hash of weights and architecture.
    """

    embodiment: str
    joint_names: tuple[str, ...]
    camera: str
    height: int
    width: int
    rate_hz: float
    horizon: int
    state_dim: int
    action_dim: int
    foresight_shape: tuple[int, int]
    model_id: str

    def require(self, embodiment: Embodiment, camera: str) -> None:
        """Checks that a robot and its camera are those the checkpoint was made for.

        Raises:
            DialError: anything differs; the message lists every difference.
        """
        cameras = {known.name: known for known in embodiment.cameras}
        if camera not in cameras:
            raise DialError(f"embodiment '{embodiment.name}' has no camera '{camera}'; cameras: {', '.join(cameras) or 'none'}")
        offered = {
            "embodiment": embodiment.name,
            "joint_names": embodiment.joint_names,
            "camera": camera,
            "height": cameras[camera].height,
            "width": cameras[camera].width,
            "rate_hz": embodiment.rate_hz,
            "state_dim": embodiment.state_dim,
        }
        problems = [
            f"{name}: the checkpoint was made for {getattr(self, name)}, offered is {value}"
            for name, value in offered.items()
            if getattr(self, name) != value
        ]
        if problems:
            raise DialError(f"checkpoint {self.model_id} does not fit this robot. " + "; ".join(problems))
