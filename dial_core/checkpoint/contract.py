"""The contract of a checkpoint: what it was made for, which its users must match."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from dial_core.config import Config, validate
from dial_core.errors import DialError
from dial_core.observation.camera_view import Box, CameraView, Fit
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.vector_layout import OURS, VectorLayout

FILE = "contract.json"


class Contract(Config):
    """Travels in every checkpoint as `contract.json`.

    Attributes:
        embodiment: name of the robot.
        joint_names: in vector order.
        camera: name of the camera that both systems see.
        height, width: of its images as the model gets them [px].
        crop, fit: which part of the camera's image the model sees, as in `CameraView`.
        further_cameras: views that System-1 gets beside it, in this order.
        rate_hz: of the actions in a chunk.
        horizon: actions in a chunk.
        state_dim: width of the state in physical units.
        action_dim: width of an action.
        foresight_shape: (N, d).
        layout: how the model's own vectors are laid out; states and chunks are converted, those of this contract are ours.
        slot: which of the model's embodiment slots is the robot's.
        instruction_prefix: text that the model expects before every instruction.
        model_id: short hash of the whole policy, or of weights and architecture alone (`identity`).
    """

    embodiment: str
    joint_names: tuple[str, ...]
    camera: str
    height: int
    width: int
    crop: Box | None = None
    fit: Fit = "crop"
    further_cameras: tuple[CameraView, ...] = ()
    rate_hz: float = Field(gt=0, allow_inf_nan=False)
    horizon: int
    state_dim: int
    action_dim: int
    foresight_shape: tuple[int, int]
    layout: VectorLayout = OURS
    slot: int = Field(default=0, ge=0)
    instruction_prefix: str = ""
    model_id: str

    @property
    def views(self) -> tuple[CameraView, ...]:
        """How the model sees each camera, the one of both systems first."""
        first = CameraView(name=self.camera, height=self.height, width=self.width, crop=self.crop, fit=self.fit)
        return (first, *self.further_cameras)

    def require(self, embodiment: Embodiment, camera: str) -> None:
        """Checks that a robot and its cameras are those the checkpoint was made for.

        A camera may have any resolution: its image is cropped and scaled to the contract's.

        Raises:
            DialError: the robot lacks a camera, or anything else differs; then the message lists every difference.
        """
        for name in (camera, *(view.name for view in self.further_cameras)):
            embodiment.camera(name)
        offered = {
            "embodiment": embodiment.name,
            "joint_names": embodiment.joint_names,
            "camera": camera,
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


def read_contract(folder: str | Path) -> Contract:
    """The contract of a checkpoint's folder, without its weights.

    Raises:
        DialError: there is none, or it cannot be read.
    """
    file = Path(folder) / FILE
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DialError(f"no checkpoint at {folder}: {FILE} cannot be read ({error.strerror}); `dial train` makes one") from error
    except ValueError as error:
        raise DialError(f"{file} is no JSON: {error}; restore the checkpoint") from error
    return validate(Contract, values, source=file)
