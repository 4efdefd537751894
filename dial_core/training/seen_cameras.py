"""Which cameras a run trains on, and how the model sees the frames of each dataset."""

from __future__ import annotations

from dial_core.checkpoint.contract import Contract
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.observation.camera_view import CameraView, central, fit_stored
from dial_core.robot.embodiment import load_embodiment
from dial_core.training.recipe import Recipe


def trained_views(recipe: Recipe, start: Contract) -> tuple[CameraView, ...]:
    """The views of the robot's cameras that a run writes into its contract: the recipe's, or else the start's.

    Where every training image is a random crop of one side, the view is the central crop of that side.

    Raises:
        DialError: as `_recipe_views`.
    """
    side = recipe.augmentation.seen_share
    views = _recipe_views(recipe, start)
    return tuple(view.model_copy(update={"crop": central(view.crop, side)}) for view in views) if recipe.cameras else views


def _recipe_views(recipe: Recipe, start: Contract) -> tuple[CameraView, ...]:
    """The views out of which training images are cropped.

    Raises:
        DialError: the recipe names a camera that the robot has not, or one twice.
    """
    if not recipe.cameras:
        return start.views
    robot = load_embodiment(recipe.embodiment)
    known, names = [camera.name for camera in robot.cameras], [camera.name for camera in recipe.cameras]
    if wrong := [name for place, name in enumerate(names) if name not in known or name in names[:place]]:
        raise DialError(
            f"recipe: `cameras` names '{wrong[0]}', which is not a camera of '{robot.name}' or stands twice; it has {', '.join(known)}"
        )
    return tuple(CameraView(**camera.model_dump(), height=start.height, width=start.width) for camera in recipe.cameras)


def require_room_for_cameras(recipe: Recipe, arch: Architecture) -> None:
    """Checks that the model can tell the recipe's cameras apart; those of a start fit it, as its contract was checked when it was made.

    Raises:
        DialError: they are more than it has image types for.
    """
    room = arch.image_types - 1  # the first one is the foresight's
    if len(recipe.cameras) > room:
        named = ", ".join(camera.name for camera in recipe.cameras)
        raise DialError(
            f"recipe: `cameras` names {len(recipe.cameras)} ({named}), the model has room for {room}; "
            "leave some out, or begin with a model of more `image_types` (config/models/)"
        )


def seen_by(recipe: Recipe, source: str, dataset: LeRobotDataset, start: Contract) -> list[tuple[str, CameraView]]:
    """The dataset's camera for each view that the model is trained on, and how its frames become the model's input.

    The views are those of the robot's cameras. What people's cameras recorded has its own: their frames as they were stored.

    Raises:
        DialError: the dataset lacks a camera, or its frames were stored with another view.
    """
    views, own = _recipe_views(recipe, start), recipe.source(source)
    seen = []
    for place, view in enumerate(views):
        camera = view.name
        if camera not in dataset.cameras and place == 0 and len(dataset.cameras) == 1:
            camera = dataset.cameras[0]  # the only one, by whatever name
        if camera not in dataset.cameras:
            raise DialError(f"source '{source}': {dataset.folder} has no camera '{camera}', it has {', '.join(dataset.cameras)}")
        stored = dataset.stored_views.get(camera)
        if own.crop is not None or own.fit != "crop":
            given = CameraView(name=camera, height=view.height, width=view.width, crop=own.crop, fit=own.fit)
            seen.append((camera, fit_stored(given, stored)))
        elif own.statistics != recipe.robot_statistics and stored is not None:
            seen.append((camera, CameraView(name=camera, height=view.height, width=view.width, fit=stored.fit)))
        else:
            seen.append((camera, fit_stored(view, stored)))
    return seen
