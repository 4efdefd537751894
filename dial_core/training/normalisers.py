"""Which statistics a run normalises with: of its own data, or the start's; and whether the data fit slot and rate."""

from __future__ import annotations

from collections.abc import Mapping

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.datasets.drift import Drift, drift_of
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.lerobot_meta import vector_names
from dial_core.datasets.normalisation import fit_normaliser
from dial_core.errors import DialError
from dial_core.model.normalise import Normaliser
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.vector_layout import OURS
from dial_core.training.recipe import Recipe


def choose_normalisers(recipe: Recipe, datasets: Mapping[str, LeRobotDataset], start: Checkpoint) -> dict[str, Normaliser]:
    """The normaliser of every source, from all datasets of its kind in all stages, so that no stage changes what a number means.

    A slot may be shared by sources of different kinds, the robot and people: each kind has statistics of its own.
    With `statistics: reused` the robot's own sources keep those of the checkpoint it starts from: what its weights learned to read.

    Raises:
        DialError: statistics to be reused are those of another robot, or of vectors in another layout.
    """
    kinds: dict[tuple, list[str]] = {}
    for name in datasets:
        kinds.setdefault(recipe.source(name).statistics, []).append(name)
    fitted = {
        kind: fit_normaliser(
            [datasets[name].states[:, recipe.source(name).vector] for name in names],
            [datasets[name].actions[:, recipe.source(name).vector] for name in names],
            recipe.normalisation,
            recipe.state_encoding,
        )
        for kind, names in kinds.items()
    }
    if recipe.statistics == "reused":
        robot = load_embodiment(recipe.embodiment).name
        if start.contract.embodiment != robot:
            raise DialError(
                f"`statistics: reused`, but the start is of '{start.contract.embodiment}' and the recipe of '{robot}'; "
                "recompute them (`statistics: recomputed`)"
            )
        if start.contract.layout != OURS:
            raise DialError(
                f"`statistics: reused`, but the start's are of vectors in the layout '{start.contract.layout.name}', and training takes "
                "the embodiment's own; recompute them (`statistics: recomputed`)"
            )
        fitted[recipe.robot_statistics] = start.normaliser
    return {name: fitted[kind] for kind, names in kinds.items() for name in names}


def reused_statistics_report(recipe: Recipe, datasets: Mapping[str, LeRobotDataset], start: Checkpoint) -> str:
    """A sentence on how well reused statistics fit the robot's data, for log and model card; empty if they are recomputed."""
    if recipe.statistics != "reused":
        return ""
    robot = load_embodiment(recipe.embodiment)
    own = [dataset for name, dataset in datasets.items() if recipe.source(name).statistics == recipe.robot_statistics]
    states, actions = [dataset.states for dataset in own], [dataset.actions for dataset in own]
    drifts = drift_of(start.normaliser, states, actions, vector_names(robot))
    far = [drift for drift in drifts if drift.far]
    if not far:
        return f"Statistics are the start's; all {len(drifts)} normalised dimensions of the data lie well within them."
    shown = ", ".join(_shown(drift) for drift in far[:4])
    return (
        f"Statistics are the start's, and {len(far)} of {len(drifts)} dimensions of the data lie far from them: {shown}. "
        "If training goes badly, recompute them (`statistics: recomputed`)."
    )


def require_same_robot(name: str, dataset: LeRobotDataset, recipe: Recipe) -> None:
    """
    Raises:
        DialError: a source's data is of another robot than its slot; both are named.
    """
    source, robot_type = recipe.source(name), dataset.info.get("robot_type")
    if source.dimensions == "all" and robot_type is not None and robot_type != source.slot:
        raise DialError(
            f"source '{name}': {dataset.folder} is of '{robot_type}', but it is to be trained into slot '{source.slot}'; "
            f"name the right dataset, or give the source `slot: {robot_type}` in the recipe"
        )


def require_rate(name: str, dataset: LeRobotDataset, recipe: Recipe) -> None:
    """
    Raises:
        DialError: a source's frames come at another rate than the recipe says, so that its chunks would last another time.
    """
    expected = recipe.rate_of(name)
    if abs(dataset.rate_hz - expected) > 0.01 * expected:
        raise DialError(
            f"source '{name}': {dataset.folder} has {dataset.rate_hz:g} frames a second, the recipe expects {expected:g}; "
            f"convert it to that rate, or set `sources.{name}.rate_hz: {dataset.rate_hz:g}` to train on it as it is"
        )


def _shown(drift: Drift) -> str:
    return f"{drift.what} {drift.name} (mean {drift.shift:+.1f} spreads away, spread {drift.widening:.1f} times)"
