"""A dataset's vectors in the layout that a model reads, converted by `LayoutConverter` as they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dial_core.config import validate
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.lerobot_meta import vector_names
from dial_core.errors import DialError
from dial_core.robot.embodiment import EEF_DIM, Embodiment
from dial_core.robot.vector_layout import BasePose, LayoutConverter, VectorLayout, wrist_converter

BASE = "base"  # of an episode's facts: where the robot's base stood in the world, as `BasePose`


@dataclass(frozen=True)
class LayoutRows:
    """Rows (F, D) of states or actions in a layout. The dataset's own stay where they are, perhaps in a memory map of any length.

    Attributes:
        vectors: in our layout, (F, at least D).
        converter: to the layout.
        dimensions: of the vectors, those that count.
        bases: pose of the base in the world, (E, 4, 4), one for each episode; None where the layout's wrists stand in the base.
        starts: (E,) first row of every episode, ascending.
    """

    vectors: np.ndarray
    converter: LayoutConverter
    dimensions: slice
    bases: np.ndarray | None
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The rows in the layout, (..., D)."""
        base = None
        if self.bases is not None:
            numbers = np.arange(len(self))[rows] if isinstance(rows, slice) else rows
            base = self.bases[np.searchsorted(self.starts, numbers, "right") - 1]
        return self.converter.from_ours(np.asarray(self.vectors[rows])[..., self.dimensions], base)


@dataclass(frozen=True)
class MaskRows:
    """Rows (F, D) of a mask, which has no units: only the order of its dimensions is the layout's."""

    mask: np.ndarray
    converter: LayoutConverter
    dimensions: slice

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.converter.reordered(np.asarray(self.mask[rows])[..., self.dimensions])


class DatasetVectors(NamedTuple):
    """What training takes of a dataset: rows of states and actions, and 1 where an action counts (None: everywhere)."""

    states: np.ndarray | LayoutRows
    actions: np.ndarray | LayoutRows
    action_mask: np.ndarray | MaskRows | None


def converter_of(layout: VectorLayout, embodiment: Embodiment, dimensions: slice) -> LayoutConverter:
    """The converter of an embodiment's vectors of which `dimensions` count: all of them, or the wrists."""
    return wrist_converter(layout) if dimensions.stop == EEF_DIM else LayoutConverter(layout, embodiment)


def names_in(layout: VectorLayout, embodiment: Embodiment) -> list[str]:
    """Names of the dimensions in the layout's order."""
    return LayoutConverter(layout, embodiment).reordered(np.array(vector_names(embodiment))).tolist()


def vectors_in(
    layout: VectorLayout,
    dataset: LeRobotDataset,
    embodiment: Embodiment,
    dimensions: slice = slice(None),
    action_mask: np.ndarray | None = None,
) -> DatasetVectors:
    """The dataset's vectors in `layout`, those of `dimensions`: all, or the two wrists (the first 18).

    Where the base stood in the world is a fact of the episode (`base`), or else the layout's.

    Raises:
        DialError: the layout does not fit the embodiment, or its wrists stand in the world and the base of an episode is not known.
    """
    converter = converter_of(layout, embodiment, dimensions)
    if converter.identity:
        mask = None if action_mask is None else action_mask[:, dimensions]
        return DatasetVectors(dataset.states[:, dimensions], dataset.actions[:, dimensions], mask)
    starts = np.array([span.first for span in dataset.episodes])
    bases = _bases(layout, dataset) if layout.frame == "world" else None
    states, actions = (LayoutRows(vectors, converter, dimensions, bases, starts) for vectors in (dataset.states, dataset.actions))
    return DatasetVectors(states, actions, None if action_mask is None else MaskRows(action_mask, converter, dimensions))


def _bases(layout: VectorLayout, dataset: LeRobotDataset) -> np.ndarray:
    """Pose of the base in the world in each episode, (E, 4, 4)."""
    poses = []
    for span in dataset.episodes:
        known = validate(BasePose, span.facts[BASE], f"{dataset.folder}, {span.name}") if BASE in span.facts else layout.base
        if known is None:
            raise DialError(
                f"{dataset.folder}: layout '{layout.name}' has its wrists in the world frame, and nothing says where the robot's base "
                f"stood in {span.name}; give the recipe `base: {{position: [X, Y, Z], quaternion: [W, X, Y, Z]}}`, "
                "or train with `layout: ours`"
            )
        poses.append(known.matrix)
    return np.stack(poses)
