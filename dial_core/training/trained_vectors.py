"""In which layout a run trains its vectors, and each source's vectors in it."""

from __future__ import annotations

from collections.abc import Mapping

from dial_core.checkpoint.contract import Contract
from dial_core.datasets.layout_rows import DatasetVectors, vectors_in
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.vector_layout import OURS, VectorLayout, load_layout
from dial_core.training.recipe import Recipe


def trained_layout(recipe: Recipe, start: Contract) -> VectorLayout:
    """The layout that a run writes into its contract: the recipe's, or else the start's, with the pose of the base that is known.

    Raises:
        DialError: there is no such layout, or the recipe gives a `base` to one whose wrists do not stand in the world.
    """
    layout = load_layout(recipe.layout) if recipe.layout else start.layout
    if recipe.base and layout.frame == "base":
        raise DialError(
            f"recipe: `base` says where the robot stands in the world, but the wrists of layout '{layout.name}' stand in its base; "
            "leave `base` out, or choose a layout whose wrists stand in the world (`layout: released`)"
        )
    base = recipe.base or layout.base or (start.layout.base if layout.frame == "world" else None)
    return layout if base == layout.base else layout.model_copy(update={"base": base})


def trained_vectors(recipe: Recipe, datasets: Mapping[str, LeRobotDataset], layout: VectorLayout) -> dict[str, DatasetVectors]:
    """The vectors of each source as the model is to read them, before statistics: converted as they are read.

    A source of another robot, which has a slot of its own, keeps our layout.

    Raises:
        DialError: as `vectors_in`.
    """
    robot, converted = load_embodiment(recipe.embodiment), {}
    for name, dataset in datasets.items():
        source = recipe.source(name)
        own = source.slot == recipe.slot or source.dimensions == "eef"
        mask = getattr(dataset, "action_mask", None)
        converted[name] = vectors_in(layout if own else OURS, dataset, robot, source.vector, mask)
    return converted
