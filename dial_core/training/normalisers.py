"""Which statistics a run normalises with: of its own data, or the start's; and whether the data fit slot and rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.datasets.drift import Drift, drift_of
from dial_core.datasets.layout_rows import DatasetVectors, names_in
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.lerobot_meta import vector_names
from dial_core.datasets.normalisation import fit_normaliser
from dial_core.errors import DialError
from dial_core.model.normalise import Normaliser
from dial_core.robot.embodiment import EEF_DIM, load_embodiment
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
    return fit_normaliser(states, actions, recipe.normalisation, recipe.state_encoding, parts)


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


def require_same_robot(name: str, dataset: LeRobotDataset, recipe: Recipe) -> None:
    """Checks that a source's data is of the robot whose slot it trains.

    Raises:
        DialError: it is of another robot; both are named.
    """
    source, robot_type = recipe.source(name), dataset.info.get("robot_type")
    if source.dimensions == "all" and robot_type is not None and robot_type != source.slot:
        raise DialError(
            f"source '{name}': {dataset.folder} is of '{robot_type}', but it is to be trained into slot '{source.slot}'; "
            f"name the right dataset, or give the source `slot: {robot_type}` in the recipe"
        )


def require_same_vectors(name: str, dataset: LeRobotDataset, recipe: Recipe) -> None:
    """Checks that a source's state and action have the embodiment's dimensions, in its order: a number's place says which joint it is.

    Of a source with `dimensions: eef` the wrists count alone. A dataset that names no dimensions is checked for their number.

    Raises:
        DialError: they do not; the message names the first dimension that differs.
    """
    source, robot = recipe.source(name), load_embodiment(recipe.embodiment)
    if source.dimensions == "all" and source.slot != robot.name:
        return  # of another robot, whose description a run need not have
    wanted = vector_names(robot)[source.vector]
    for column in ("observation.state", "action"):
        feature = dataset.features.get(column)
        if feature is None:
            continue  # reported where it is read
        width = min(feature.width, EEF_DIM) if source.dimensions == "eef" else feature.width
        if width != len(wanted):
            raise DialError(
                f"source '{name}': {dataset.folder} has {feature.width} dimensions of {column}, embodiment '{robot.name}' has "
                f"{len(wanted)}; `dial convert lerobot` brings other people's vectors into the embodiment's"
            )
        named = feature.flat_names[source.vector]
        differing = [place for place, pair in enumerate(zip(named, wanted, strict=False)) if pair[0] != pair[1]]
        if differing:
            place = differing[0]
            raise DialError(
                f"source '{name}': dimension {place} of {column} in {dataset.folder} is '{named[place]}', of embodiment '{robot.name}' it "
                f"is '{wanted[place]}' ({len(differing)} differ): other joints would move; convert the data with `dial convert lerobot`"
            )


def require_whole(name: str, dataset: LeRobotDataset) -> None:
    """Checks that a source has all the episodes that its info.json counts.

    Raises:
        DialError: it has not, as where its list of episodes was copied in part.
    """
    counted = dataset.info.get("total_episodes")
    if counted is not None and counted != len(dataset.episodes):
        raise DialError(
            f"source '{name}': {dataset.folder} lists {len(dataset.episodes)} episodes, its meta/info.json says {counted}; "
            "copy it again, or see `dial data check`"
        )


def require_rate(name: str, dataset: LeRobotDataset, recipe: Recipe) -> None:
    """Checks that a source's frames come at the recipe's rate: at another one its chunks would last another time.

    The robot's own come at its control rate, at which its chunks are executed.

    Raises:
        DialError: they do not; the message says how to convert the data or to train on it as it is.
    """
    if recipe.source(name).statistics == recipe.robot_statistics:
        control = load_embodiment(recipe.embodiment).rate_hz
        if abs(dataset.rate_hz - control) > 0.01 * control or abs(recipe.rate_of(name) - control) > 0.01 * control:
            raise DialError(
                f"source '{name}': {dataset.folder} has {dataset.rate_hz:g} frames a second, and chunks of '{recipe.slot}' are executed at "
                f"{control:g}: it would move {control / dataset.rate_hz:.2g} times as fast as in the demonstrations. Convert the data to "
                f"{control:g} Hz (`dial convert lerobot`), without a `rate_hz` of the source"
            )
        return
    expected = recipe.rate_of(name)
    if abs(dataset.rate_hz - expected) > 0.01 * expected:
        raise DialError(
            f"source '{name}': {dataset.folder} has {dataset.rate_hz:g} frames a second, the recipe expects {expected:g}; "
            f"convert it to that rate, or set `sources.{name}.rate_hz: {dataset.rate_hz:g}` to train on it as it is"
        )


def _shown(drift: Drift) -> str:
    return f"{drift.what} {drift.name} (mean {drift.shift:+.1f} spreads away, spread {drift.widening:.1f} times)"
