"""Checks of what a session is given, with the contract's shapes: numpy in, tensors or checked arrays out."""

import numpy as np
import torch

from dial_core.errors import DialError
from dial_core.finiteness import require_finite
from dial_core.observation.camera_view import CameraView


def image_tensor(image: np.ndarray, view: CameraView, device: torch.device) -> torch.Tensor:
    """An image (H, W, 3) as a batch of one, (1, H, W, 3) uint8, on the device.

    Raises:
        DialError: another shape or dtype than the view's.
    """
    expected = (view.height, view.width, 3)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != expected:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DialError(f"image of camera '{view.name}': expected uint8 {expected}, got {got}")
    # A copy: messages give read-only memory, which torch does not take, and neither does it take reversed channels ([..., ::-1]).
    return torch.tensor(np.ascontiguousarray(image), device=device)[None]


def finite_array(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`values` as float32.

    Raises:
        DialError: another shape, or a value that is not finite.
    """
    values = np.asarray(values, np.float32, order="C")
    if values.shape != tuple(shape):
        raise DialError(f"{name}: expected shape {tuple(shape)}, got {values.shape}")
    require_finite(values, name)
    return values
