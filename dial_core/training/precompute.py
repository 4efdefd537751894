"""`dial tokens`: the image tokens that trainings of a recipe read, computed before any of them starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.training.image_tokens import cached_features
from dial_core.training.recipe import Recipe
from dial_core.training.seen_cameras import seen_by
from dial_core.training.stages import open_sources


def precompute_tokens(recipe: Recipe, start: Path, folders: Mapping[str, Path], workers: int) -> int:
    """Computes the frozen towers' tokens of every frame that the recipe's stages draw from, where they are missing.

    `dial train` would do so itself; ahead of it, several trainings share the work and every core takes part.

    Returns:
        Frames whose tokens are there now, each camera counted; 0 for a recipe that trains on pixels.

    Raises:
        DialError: as `open_sources`, or a dataset lacks a camera of the recipe.
    """
    datasets = open_sources(recipe, folders, workers)
    if recipe.images == "pixels":
        return 0
    contract = load_checkpoint(start).contract
    seen = [(dataset, *view) for name, dataset in datasets.items() for view in seen_by(recipe, name, dataset, contract)]
    return sum(len(cached_features(start, dataset, workers, camera, view)) for dataset, camera, view in seen)
