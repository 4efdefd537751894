"""One dataset as the model sees it: normalised vectors padded to the model's widths, masks, prompts, and its views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.layout_rows import DatasetVectors, LayoutRows, MaskRows
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.files.array_file import ArrayFile
from dial_core.model.configuration import Architecture
from dial_core.model.normalise import Normaliser
from dial_core.observation.camera_view import CameraView
from dial_core.training.augmentation import ImageAugmentation
from dial_core.training.frame_clock import frame_clock
from dial_core.training.wrist_axes import AS_RECORDED, Axes, with_wrist_axes


class TrainingViews(Protocol):
    """Where a stream's frames come from."""

    def take(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """What the model receives for the frames `rows` of one sample, (len(rows), ...)."""
        ...


@dataclass(frozen=True)
class CachedTokens:
    """The frozen vision tower's tokens, computed before: float16 (F, N, d)."""

    tokens: np.ndarray | ArrayFile

    def take(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """float32 (len(rows), N, d)."""
        return torch.from_numpy(self.tokens[rows].astype(np.float32))


class Pixels:
    """Frames of one camera, decoded as they are needed, all of a sample with one random appearance."""

    def __init__(self, dataset: LeRobotDataset, augmentation: ImageAugmentation, camera: str, view: CameraView, workers: int = 0) -> None:
        """Frames of the dataset's `camera`, which `workers` processes find the first time; `view`: how the model sees them.

        Raises:
            DialError: as `frame_clock`.
        """
        self.augmentation, self.camera, self.view = augmentation, camera, view
        self.reader, self.shown_s = FrameReader(), frame_clock(dataset, camera, workers)
        self.spans = dataset.episodes
        self.starts = np.array([span.first for span in self.spans])

    def take(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """uint8 (len(rows), height, width, 3)."""
        span = self.spans[int(np.searchsorted(self.starts, rows[0], "right")) - 1]
        frames = self.reader.read(span.videos[self.camera].path, self.shown_s[rows])
        return torch.from_numpy(self.augmentation.draw(rng).of(frames, self.view))


@dataclass(frozen=True)
class SourceVectors:
    """A dataset's vectors, normalised and padded to the model's widths as they are drawn: the dataset itself may stay on disk.

    Attributes:
        states, actions: float32 (F, D) of the dimensions that count, physical units, finite, in the layout of the model's vectors; perhaps
            memory maps, or converted as they are read (`datasets/layout_rows.py`).
        normaliser: of these dimensions.
        state_dim, action_dim: widths of the model, S and A.
        sure: float32 (F, D), 1 where a frame's action counts (people's hands are not always seen); None: everywhere.
        wrist_axes: of the vectors' first and second wrist frame, in terms of the recorded ones; 6D rotations are not normalised, so
            the statistics stay, and turning a wrist's own axes commutes with moving it into another frame.
    """

    states: np.ndarray | LayoutRows
    actions: np.ndarray | LayoutRows
    normaliser: Normaliser
    state_dim: int
    action_dim: int
    sure: np.ndarray | MaskRows | None = None
    wrist_axes: tuple[Axes, Axes] = (AS_RECORDED, AS_RECORDED)

    def __len__(self) -> int:
        return len(self.states)

    def state(self, rows: np.ndarray) -> np.ndarray:
        """Model units, float32 (..., S)."""
        return _padded(self.normaliser.encode_state(self._physical(self.states[rows])), self.state_dim)

    def action(self, rows: np.ndarray) -> np.ndarray:
        """Model units, float32 (..., A)."""
        return _padded(self.normaliser.encode_action(self._physical(self.actions[rows])), self.action_dim)

    def action_mask(self, rows: np.ndarray) -> np.ndarray:
        """1 where the actions of frames `rows` count, float32 (..., A)."""
        counts = np.ones((*rows.shape, self.normaliser.action_dim), np.float32) if self.sure is None else self.sure[rows]
        return _padded(counts, self.action_dim)

    def _physical(self, vectors: np.ndarray) -> np.ndarray:
        return with_wrist_axes(vectors, self.wrist_axes)

    @cached_property
    def state_mask(self) -> np.ndarray:
        """1 at the dimensions that this embodiment's state has, float32 (S,)."""
        return _padded(np.ones(self.normaliser.state_dim), self.state_dim)


@dataclass(frozen=True)
class Stream:
    """One source of samples. Rows are frames, those of an episode one after the other.

    Attributes:
        name: of the source in the recipe.
        views: where the first camera's images come from.
        vectors: states and actions.
        starts: (E,) first row of every episode, ascending.
        prompts: (E,) index into `instructions`.
        instructions: all of the dataset.
        slot: the embodiment's place in the model.
        further_views: images of the further cameras, which System-1 sees beside the first.
        several_objects: (E,) whether an episode's facts list two objects or more; None: nothing is known.
    """

    name: str
    views: TrainingViews
    vectors: SourceVectors
    starts: np.ndarray
    prompts: np.ndarray
    instructions: list[str]
    slot: int = 0
    further_views: tuple[TrainingViews, ...] = ()
    several_objects: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def episode(self, row: int) -> tuple[int, str]:
        """Last row of the episode that `row` belongs to, and its instruction."""
        number = int(np.searchsorted(self.starts, row, "right")) - 1
        end = int(self.starts[number + 1]) if number + 1 < len(self.starts) else len(self)
        return end - 1, self.instructions[self.prompts[number]]


def make_stream(
    name: str,
    dataset: LeRobotDataset,
    vectors: DatasetVectors,
    views: Sequence[TrainingViews],
    normaliser: Normaliser,
    arch: Architecture,
    slot: str,
    wrist_axes: tuple[Axes, Axes] = (AS_RECORDED, AS_RECORDED),
) -> Stream:
    """A dataset in the model's terms.

    Args:
        vectors: its vectors in the layout of the model's.
        views: its images by camera, in the contract's order.
        normaliser: of these vectors.
        slot: name of the embodiment's slot.
        wrist_axes: of the vectors' first and second wrist frame, in terms of the recorded ones.

    Raises:
        DialError: the model has no such slot or is too narrow.
    """
    if slot not in arch.embodiments:
        raise DialError(
            f"source '{name}': the model has no slot '{slot}'; its slots: {', '.join(arch.embodiments)} (`embodiments` of the model)"
        )
    for what, width, room in (("state", normaliser.state_dim, arch.state_dim), ("action", normaliser.action_dim, arch.action_dim)):
        if width > room:
            raise DialError(f"source '{name}': {what}s have {width} dimensions, the model has room for {room}")
    return Stream(
        name=name,
        views=views[0],
        further_views=tuple(views[1:]),
        vectors=SourceVectors(
            vectors.states,
            vectors.actions,
            normaliser,
            arch.state_dim,
            arch.action_dim,
            vectors.action_mask,
            wrist_axes,
        ),
        starts=np.array([span.first for span in dataset.episodes]),
        prompts=np.array([span.task_index for span in dataset.episodes]),
        instructions=dataset.instructions,
        slot=arch.embodiments.index(slot),
        several_objects=np.array([lists_several(span.facts) for span in dataset.episodes]),
    )


def lists_several(facts: Mapping[str, object]) -> bool:
    """Whether an episode's facts list two objects or more, as `dial collect` writes them."""
    objects = facts.get("objects")
    return isinstance(objects, list | tuple) and len(objects) > 1


def _padded(vectors: np.ndarray, width: int) -> np.ndarray:
    padded = np.zeros((*vectors.shape[:-1], width), np.float32)
    padded[..., : vectors.shape[-1]] = vectors
    return padded
