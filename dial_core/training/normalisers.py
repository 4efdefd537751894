"""Which statistics a run normalises with: of its own data, or the start's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.datasets.drift import Drift, drift_of
from dial_core.datasets.layout_rows import DatasetVectors, names_in
from dial_core.datasets.normalisation import fit_normaliser
from dial_core.errors import DialError
from dial_core.model.normalise import Normaliser
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.vector_layout import OURS, LayoutConverter, VectorLayout
from dial_core.training.recipe import Recipe


def choose_normalisers(
    recipe: Recipe, vectors: Mapping[str, DatasetVectors], start: Checkpoint, layout: VectorLayout
) -> dict[str, Normaliser]:
    """The normaliser of every source, from all datasets of its kind in all stages, so that no stage changes what a number means.

    A slot may be shared by sources of different kinds, the robot and people: each kind has statistics of its own.
    With `statistics: reused` the robot's own sources keep those of the checkpoint it starts from: what its weights learned to read.

    Args:
        vectors: of every source, in `layout`.
        layout: that the run trains in.

    Raises:
        DialError: statistics to be reused are those of another robot, or of vectors in another layout.
    """
    kinds: dict[tuple, list[str]] = {}
    for name in vectors:
        kinds.setdefault(recipe.source(name).statistics, []).append(name)
    own = recipe.robot_statistics
    fitted = {kind: _fitted(recipe, [vectors[name] for name in names], layout if kind == own else OURS) for kind, names in kinds.items()}
    if recipe.statistics == "reused":
        _require_reusable(recipe, start, layout)
        fitted[own] = start.normaliser
    return {name: fitted[kind] for kind, names in kinds.items() for name in names}


def _fitted(recipe: Recipe, vectors: Sequence[DatasetVectors], layout: VectorLayout) -> Normaliser:
    """Of one kind of source; sines and cosines go by the layout's groups, as in the release."""
    parts = LayoutConverter(layout, load_embodiment(recipe.embodiment)).parts if layout.groups else ()
    states, actions = [source.states for source in vectors], [source.actions for source in vectors]
    masks = [source.action_mask for source in vectors]
    return fit_normaliser(states, actions, recipe.normalisation, recipe.state_encoding, parts, masks)


def _require_reusable(recipe: Recipe, start: Checkpoint, layout: VectorLayout) -> None:
    robot, contract = load_embodiment(recipe.embodiment).name, start.contract
    if contract.embodiment != robot:
        raise DialError(
            f"`statistics: reused`, but the start is of '{contract.embodiment}' and the recipe of '{robot}'; "
            "recompute them (`statistics: recomputed`)"
        )
    if not contract.layout.same_vectors(layout):
        raise DialError(
            f"`statistics: reused`, but the start's are of vectors in the layout '{contract.layout.name}', and the recipe trains in "
            f"'{layout.name}'; leave `layout` out to train in the start's, or recompute them (`statistics: recomputed`)"
        )


def reused_statistics_report(recipe: Recipe, vectors: Mapping[str, DatasetVectors], start: Checkpoint) -> str:
    """A sentence on how well reused statistics fit the robot's data, for log and model card; empty if they are recomputed.

    `vectors`: of every source, in the start's layout.
    """
    if recipe.statistics != "reused":
        return ""
    robot = load_embodiment(recipe.embodiment)
    own = [source for name, source in vectors.items() if recipe.source(name).statistics == recipe.robot_statistics]
    states, actions = [source.states for source in own], [source.actions for source in own]
    drifts = drift_of(start.normaliser, states, actions, names_in(start.contract.layout, robot))
    far = [drift for drift in drifts if drift.far]
    if not far:
        return f"Statistics are the start's; all {len(drifts)} normalised dimensions of the data lie well within them."
    shown = ", ".join(_shown(drift) for drift in far[:4])
    return (
        f"Statistics are the start's, and {len(far)} of {len(drifts)} dimensions of the data lie far from them: {shown}. "
        "If training goes badly, recompute them (`statistics: recomputed`)."
    )


def _shown(drift: Drift) -> str:
    return f"{drift.what} {drift.name} (mean {drift.shift:+.1f} spreads away, spread {drift.widening:.1f} times)"
