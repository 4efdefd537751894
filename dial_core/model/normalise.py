"""Physical vectors to the unit-free vectors that the model sees, and back. Pure arithmetic, no files."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from dial_core.errors import DialError

if TYPE_CHECKING:  # datasets are checked and converted on computers that have no torch
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")
StateEncoding = Literal["raw", "sin_cos"]

# [m, rad] A dimension that hardly moves in the data (an idle arm) would blow up noise if divided by its own spread.
SPREAD_FLOOR = 0.01


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Mean and spread of states and actions, (D,) each, in physical units; `raw` dimensions pass unchanged.

    6D rotations are raw. With `state_encoding` "sin_cos" (the release) every joint of the state becomes its sine and
    its cosine and only the positions are normalised; `joints` says where the joints begin.
    """

    state_mean: np.ndarray
    state_std: np.ndarray
    action_mean: np.ndarray
    action_std: np.ndarray
    raw: np.ndarray
    state_encoding: StateEncoding = "raw"
    joints: int = 18

    def __post_init__(self) -> None:
        """Checks widths, brings everything to float32 and applies the spread floor."""
        width = len(self.raw)
        object.__setattr__(self, "raw", np.asarray(self.raw, bool))
        for name in ("state_mean", "state_std", "action_mean", "action_std"):
            values = np.array(getattr(self, name), np.float32)
            if values.shape != (width,) or not np.isfinite(values).all():
                raise DialError(f"normaliser: {name} must be {width} finite numbers, got shape {values.shape}")
            if name.endswith("std"):
                values = np.where(self.raw, 1.0, np.maximum(values, SPREAD_FLOOR)).astype(np.float32)
            else:
                values = np.where(self.raw, 0.0, values).astype(np.float32)
            object.__setattr__(self, name, values)

    @classmethod
    def fit(cls, states: np.ndarray, actions: np.ndarray, raw: np.ndarray, **options) -> "Normaliser":
        """From states and actions (n, D) in physical units."""
        return cls(states.mean(0), states.std(0), actions.mean(0), actions.std(0), raw, **options)

    @classmethod
    def identity(cls, width: int, **options) -> "Normaliser":
        """Changes nothing."""
        zeros, ones = np.zeros(width), np.ones(width)
        return cls(zeros, ones, zeros, ones, np.ones(width, bool), **options)

    @property
    def state_dim(self) -> int:
        """Width of an encoded state."""
        width = len(self.raw)
        return width if self.state_encoding == "raw" else 2 * width - self.joints

    @property
    def action_dim(self) -> int:
        """Width of an action."""
        return len(self.raw)

    def encode_state(self, state: Array) -> Array:
        """Physical (..., D) to model units (..., state_dim)."""
        encoded = (state - _like(self.state_mean, state)) / _like(self.state_std, state)
        if self.state_encoding == "raw":
            return encoded
        angles = state[..., self.joints :]
        if not isinstance(state, np.ndarray):
            import torch

            return torch.cat([encoded[..., : self.joints], angles.sin(), angles.cos()], -1)
        return np.concatenate([encoded[..., : self.joints], np.sin(angles), np.cos(angles)], -1)

    def encode_action(self, action: Array) -> Array:
        """Physical (..., D) to model units (..., D)."""
        return (action - _like(self.action_mean, action)) / _like(self.action_std, action)

    def decode_action(self, action: Array) -> Array:
        """Model units (..., D) to physical (..., D)."""
        return action * _like(self.action_std, action) + _like(self.action_mean, action)

    def to_dict(self) -> dict:
        """Plain lists and strings, for a JSON file."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict) -> "Normaliser":
        """What `to_dict` gave.

        Raises:
            DialError: unknown or missing keys.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise DialError(f"normalisation statistics: {error}") from error


def rotation_dimensions(state_dim: int) -> np.ndarray:
    """True (D,) at the 6D rotations of the two wrists: dimensions 3..8 and 12..17 of the vector."""
    raw = np.zeros(state_dim, bool)
    raw[3:9] = raw[12:18] = True
    return raw


def _like(values: np.ndarray, example: Array) -> Array:
    if not isinstance(example, np.ndarray):
        import torch

        return torch.as_tensor(values, dtype=example.dtype, device=example.device)
    return values.astype(example.dtype) if np.issubdtype(example.dtype, np.floating) else values
