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
    its cosine and only the positions are normalised; `joints` says where the joints begin. The sines of `parts[0]` joints are
    followed by their cosines, then come those of the next part; without parts all sines come first. A spread below
    `spread_floor` counts as the floor; with a floor of 0 (the release) a spread of 0 leaves the state as it is.
    """

    state_mean: np.ndarray
    state_std: np.ndarray
    action_mean: np.ndarray
    action_std: np.ndarray
    raw: np.ndarray
    state_encoding: StateEncoding = "raw"
    joints: int = 18
    parts: tuple[int, ...] = ()
    spread_floor: float = SPREAD_FLOOR

    def __post_init__(self) -> None:
        """Checks widths, brings everything to float32 and applies the spread floor."""
        width = len(self.raw)
        object.__setattr__(self, "raw", np.asarray(self.raw, bool))
        object.__setattr__(self, "parts", tuple(self.parts) or (width - self.joints,))
        if self.state_encoding == "sin_cos" and width < self.joints:
            raise DialError(f"normaliser: vectors of {width} numbers have no joints, which begin at {self.joints}; sin_cos is of joints")
        if self.state_encoding == "sin_cos" and sum(self.parts) != width - self.joints:
            raise DialError(f"normaliser: parts {self.parts} have {sum(self.parts)} joints, expected {width - self.joints}")
        for name in ("state_mean", "state_std", "action_mean", "action_std"):
            values = np.array(getattr(self, name), np.float32)
            if values.shape != (width,) or not np.isfinite(values).all():
                raise DialError(f"normaliser: {name} must be {width} finite numbers, got shape {values.shape}")
            if name.endswith("std"):
                values = np.where(self.raw, 1.0, np.maximum(values, self.spread_floor)).astype(np.float32)
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
        encoded = _scaled(state, self.state_mean, self.state_std)
        if self.state_encoding == "raw":
            return encoded
        pieces, start = [encoded[..., : self.joints]], self.joints
        for count in self.parts:
            angles = state[..., start : start + count]
            pieces += [np.sin(angles), np.cos(angles)] if isinstance(angles, np.ndarray) else [angles.sin(), angles.cos()]
            start += count
        if isinstance(state, np.ndarray):
            return np.concatenate(pieces, -1)
        import torch

        return torch.cat(pieces, -1)

    def encode_action(self, action: Array) -> Array:
        """Physical (..., D) to model units (..., D)."""
        return _scaled(action, self.action_mean, self.action_std)

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


def _scaled(values: Array, mean: np.ndarray, spread: np.ndarray) -> Array:
    """(values - mean) / spread; where the spread is 0 the values themselves."""
    still = spread == 0
    return (values - _like(np.where(still, np.float32(0), mean), values)) / _like(np.where(still, np.float32(1), spread), values)


def _like(values: np.ndarray, example: Array) -> Array:
    if not isinstance(example, np.ndarray):
        import torch

        return torch.as_tensor(values, dtype=example.dtype, device=example.device)
    return values.astype(example.dtype) if np.issubdtype(example.dtype, np.floating) else values
