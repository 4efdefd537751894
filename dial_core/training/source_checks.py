"""Whether a source's data are what a recipe takes them for: complete, of its robot, with its dimensions, at its rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.lerobot_meta import vector_names
from dial_core.errors import DialError
from dial_core.model.prompt import Prompter
from dial_core.robot.embodiment import EEF_DIM, load_embodiment
from dial_core.training.recipe import Recipe


def require_fitting(name: str, dataset: LeRobotDataset, recipe: Recipe) -> None:
    """Checks a source's data by all that follows. Raises DialError as the checks do."""
    require_whole(name, dataset)
    require_instructions(name, dataset)
    require_same_robot(name, dataset, recipe)
    require_same_vectors(name, dataset, recipe)
    require_rate(name, dataset, recipe)


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

    Of a source with `dimensions: eef` the wrists count alone. A dataset that names no dimensions is checked for their number. Another
    robot's begins with the two wrists, by name.

    Raises:
        DialError: they do not; the message names the first dimension that differs.
    """
    source, robot = recipe.source(name), load_embodiment(recipe.embodiment)
    if source.dimensions == "all" and source.slot != robot.name:
        _require_wrists(name, dataset, vector_names(robot)[:EEF_DIM])
        return  # the rest is of another robot, whose description a run need not have
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


def _require_wrists(name: str, dataset: LeRobotDataset, wanted: Sequence[str]) -> None:
    """Checks that another robot's vectors begin with two wrists, whose 6D rotations are not normalised, whatever follows.

    Raises:
        DialError: they do not, or the dataset does not name them.
    """
    for column in ("observation.state", "action"):
        feature = dataset.features.get(column)
        named = feature.flat_names[:EEF_DIM] if feature is not None else wanted  # a missing column is reported where it is read
        if list(named) != list(wanted):
            begins = f"begins with {', '.join(named[:4])}, ..." if named else "names no dimensions"
            raise DialError(
                f"source '{name}': {column} in {dataset.folder} {begins}; every robot's vectors begin with two wrists "
                f"({', '.join(wanted[:4])}, ... {wanted[-1]}), and their rotations stay as they are. "
                "Convert the data with `dial convert lerobot`"
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


def require_instructions(name: str, dataset: LeRobotDataset) -> None:
    """Checks that the metadata of every episode have an instruction: without one it would be trained with another episode's.

    Raises:
        DialError: an episode has none, or a blank one.
    """
    without = [span for span in dataset.episodes if not span.instruction.strip()]
    if without:
        raise DialError(
            f"source '{name}': {dataset.folder}, {without[0].name} has no instruction in meta/episodes ({len(without)} of "
            f"{len(dataset.episodes)} episodes have none); give it its `tasks`, or convert the data with `dial convert lerobot`"
        )


def require_encodable(datasets: Mapping[str, LeRobotDataset], prompter: Prompter) -> None:
    """Checks that the instructions of all sources become prompts of the model, before the first step and not where one is drawn.

    Raises:
        DialError: one contains a control token or is too long; names source, episode and instruction.
    """
    for name, dataset in datasets.items():
        for span in {span.instruction: span for span in reversed(dataset.episodes)}.values():
            try:
                prompter.require_encodable(span.instruction)
            except DialError as error:
                raise DialError(f"source '{name}': {dataset.folder}, {span.name}: {error}") from error


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
