"""One dataset as the model sees it: normalised vectors padded to the model's widths, masks, prompts, and its views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.model.normalise import Normaliser
from dial_core.observation.camera_view import CameraView
from dial_core.training.augmentation import ImageAugmentation


class TrainingViews(Protocol):
    """Where a stream's frames come from."""

    def take(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """What the model receives for the frames `rows` of one sample, (len(rows), ...)."""
        ...


@dataclass(frozen=True)
class CachedTokens:
    """The frozen vision tower's tokens, computed before: float16 (F, N, d)."""

    tokens: np.ndarray

    def take(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """float32 (len(rows), N, d)."""
        return torch.from_numpy(self.tokens[rows].astype(np.float32))


class Pixels:
    """Frames of one camera, decoded as they are needed, all of a sample with one random appearance."""

    def __init__(self, dataset: LeRobotDataset, augmentation: ImageAugmentation, camera: str, view: CameraView) -> None:
        """Frames of the dataset's `camera`; `view`: how the model sees them."""
        self.augmentation, self.camera, self.view = augmentation, camera, view
        self.reader = FrameReader(dataset.rate_hz)
        self.spans = dataset.episodes
        self.starts = np.array([span.first for span in self.spans])

    def take(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """uint8 (len(rows), height, width, 3)."""
        span = self.spans[int(np.searchsorted(self.starts, rows[0], "right")) - 1]
        video = span.videos[self.camera]
        frames = self.reader.read(video.path, [video.first + int(row) - span.first for row in rows])
        return torch.from_numpy(self.augmentation.draw(rng).of(frames, self.view))


@dataclass(frozen=True)
class Stream:
    """Rows are frames.

    Attributes:
        name: of the source in the recipe.
        views: where the first camera's images come from.
        further_views: the same of the further cameras, which System-1 sees beside it.
        states, actions: float32 (F, S) and (F, A), model units, padded with zeros.
        mask: float32 (A,), 1 at the dimensions that this embodiment has.
        state_mask: float32 (S,), the same of the state.
        first, last: (F,) rows of the frame's episode's ends.
        prompt: (F,) index into `instructions`.
        instructions: all of the dataset.
        slot: the embodiment's place in the model.
        sure: float32 (F, A), 1 where a frame's action counts (people's hands are not always seen); None: everywhere.
    """

    name: str
    views: TrainingViews
    states: np.ndarray
    actions: np.ndarray
    mask: np.ndarray
    state_mask: np.ndarray
    first: np.ndarray
    last: np.ndarray
    prompt: np.ndarray
    instructions: list[str]
    slot: int = 0
    further_views: tuple[TrainingViews, ...] = ()
    sure: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.states)

    def action_mask(self, rows: np.ndarray) -> np.ndarray:
        """1 where the actions of frames `rows` (..., H) count, float32 (..., H, A)."""
        mask = np.broadcast_to(self.mask, (*rows.shape, len(self.mask)))
        return mask.copy() if self.sure is None else mask * self.sure[rows]


def make_stream(
    name: str,
    dataset: LeRobotDataset,
    views: Sequence[TrainingViews],
    normaliser: Normaliser,
    arch: Architecture,
    slot: str,
    dimensions: slice,
) -> Stream:
    """A dataset in the model's terms.

    Args:
        views: its images by camera, in the contract's order.
        normaliser: of this embodiment's own dimensions.
        slot: name of the embodiment's slot.
        dimensions: which of the dataset's vectors count; the first ones, as all embodiments begin with the wrists.

    Raises:
        DialError: the model has no such slot or is too narrow.
    """
    if slot not in arch.embodiments:
        raise DialError(
            f"source '{name}': the model has no slot '{slot}'; its slots: {', '.join(arch.embodiments)} (`embodiments` of the model)"
        )
    states = normaliser.encode_state(dataset.states[:, dimensions])
    actions = normaliser.encode_action(dataset.actions[:, dimensions])
    lengths = [span.length for span in dataset.episodes]
    first = np.repeat([span.first for span in dataset.episodes], lengths)
    return Stream(
        name=name,
        views=views[0],
        further_views=tuple(views[1:]),
        states=_padded(name, "state", states, arch.state_dim),
        actions=_padded(name, "action", actions, arch.action_dim),
        mask=_ones(actions.shape[1], arch.action_dim),
        state_mask=_ones(states.shape[1], arch.state_dim),
        first=first,
        last=first + np.repeat(lengths, lengths) - 1,
        prompt=np.repeat([span.task_index for span in dataset.episodes], lengths),
        instructions=dataset.instructions,
        slot=arch.embodiments.index(slot),
        sure=None if dataset.action_mask is None else _padded(name, "action mask", dataset.action_mask[:, dimensions], arch.action_dim),
    )


def _padded(name: str, what: str, vectors: np.ndarray, width: int) -> np.ndarray:
    if vectors.shape[1] > width:
        raise DialError(f"source '{name}': {what}s have {vectors.shape[1]} dimensions, the model has room for {width}")
    return np.pad(vectors.astype(np.float32), ((0, 0), (0, width - vectors.shape[1])))


def _ones(count: int, width: int) -> np.ndarray:
    return (np.arange(width) < count).astype(np.float32)
