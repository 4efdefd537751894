"""One numbered 480x640 image down every path to the model: the same bytes; and two cameras from a bag to a chunk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image

from dial_core.bags.synthetic import IMAGE, record
from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.config import load_config
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.evaluation.closed_loop.arena import StepObservation
from dial_core.evaluation.closed_loop.dial_policy import DialPolicy
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.importers.bag.conversion import BagConversion, convert_bags
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, convert_lerobot
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.model.dial import DialModel
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.observation.camera_view import SeenCamera, fit_view
from dial_core.robot.embodiment import load_embodiment
from dial_core.training.augmentation import ImageAugmentation
from dial_core.training.recipe import DataSource, Recipe
from dial_core.training.seen_cameras import seen_by, trained_views
from dial_core.training.stages import train
from dial_core.training.streams import Pixels
from dial_ros.node.cameras import CameraInput, Frame

from .test_live_observation import LiveNode

HEIGHT, WIDTH = 480, 640
STEP_NS = 50_000_000


def numbered(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An image in which every pixel encodes its place, and the blue channel the image's number."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width) * 255 // (width - 1)
    pixels[..., 1] = (np.arange(height) * 255 // (height - 1))[:, None]
    pixels[..., 2] = number
    return pixels


@pytest.fixture(autouse=True)
def lossless_video(monkeypatch):
    """The codec is not what is tested."""
    monkeypatch.setattr("dial_core.datasets.video._CODEC", "libx264rgb")
    monkeypatch.setattr("dial_core.datasets.video._PIXEL_FORMAT", "rgb24")
    for options in ("_OPTIONS", "_LARGE_OPTIONS"):
        monkeypatch.setattr(f"dial_core.datasets.video.{options}", {"qp": "0", "preset": "ultrafast", "bf": "0", "threads": "1"})


def robot_with(folder: Path, *cameras: str) -> str:
    """An embodiment file of a gr1 with these cameras of 480x640."""
    shown = "\n".join(f"  - {{name: {c}, topic: image/{c}, frame: {c}, height: {HEIGHT}, width: {WIDTH}}}" for c in cameras)
    file = folder / "robot.yaml"
    file.write_text(f"extends: gr1\ncameras:\n{shown}\n")
    return str(file)


def recipe_for(robot: str, *cameras: SeenCamera) -> Recipe:
    recipe = load_config(Recipe, "training", "dial_tiny")
    stages = [
        stage.model_copy(update={"optimisation": stage.optimisation.model_copy(update={"steps": 1, "batch_size": 2})})
        for stage in recipe.stages[-1:]
    ]
    return recipe.model_copy(update={"embodiment": robot, "cameras": cameras, "images": "pixels", "stages": stages})


def evaluated(contract, image: np.ndarray) -> np.ndarray:
    """What System-2 gets of an arena's image."""
    seen = []

    class Session:
        def __init__(self) -> None:
            self.contract = contract

        def foresight(self, image, instruction):
            seen.append(image)
            return np.zeros(contract.foresight_shape, np.float32)

        def chunk(self, images, *_, **__):
            seen.extend(images)
            return np.zeros((contract.horizon, contract.action_dim), np.float32)

    class Arena:
        embodiment = load_embodiment("gr1")
        set_points = embodiment.home_position

    session = Session()
    policy = DialPolicy(session, session, Protocol(tasks=("PlacematToPlate",), episodes=1, seed=100000))
    policy.begin(Arena(), 0, "put the can on the plate")
    policy.targets(StepObservation(image, load_embodiment("gr1").home_position, "put the can on the plate"))
    assert all(np.array_equal(image, seen[0]) for image in seen)
    return seen[0]


def on_the_robot(contract, camera, image: np.ndarray) -> np.ndarray:
    """What the nodes make of a camera's message."""
    message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH, data=image.tobytes())
    source = CameraInput(LiveNode(), contract.views[0], camera, "raw", lambda frame: None, lambda why: None)
    return source.pixels(Frame(message, 0, 0))


def test_where_every_training_image_is_cropped_the_robot_sees_the_central_crop(tmp_path, fake_dataset):
    make_random_checkpoint(tmp_path / "start")
    start, dataset = load_checkpoint(tmp_path / "start").contract, fake_dataset(tmp_path / "dataset")
    augmentation = ImageAugmentation(crop=0.9, always_crops=True)
    update = {"images": "pixels", "augmentation": augmentation}
    recipe = recipe_for("gr1", SeenCamera(name="ego", crop=(0.2, 0.0, 0.6, 1.0), fit="stretch")).model_copy(update=update)
    (view,) = trained_views(recipe, start)
    np.testing.assert_allclose(view.crop, (0.23, 0.05, 0.54, 0.9))
    ((_, cropped_from),) = seen_by(recipe, "robot", dataset, start)
    assert cropped_from.crop == (0.2, 0.0, 0.6, 1.0)


def test_people_may_be_seen_through_a_crop_of_their_own(tmp_path, fake_dataset):
    make_random_checkpoint(tmp_path / "start")
    start, dataset = load_checkpoint(tmp_path / "start").contract, fake_dataset(tmp_path / "dataset")
    people = DataSource(slot="gr1", human=True, dimensions="eef", crop=(0.3, 0.0, 0.7, 1.0), fit="stretch")
    recipe = recipe_for("gr1", SeenCamera(name="ego")).model_copy(update={"sources": {"human": people}})
    ((_, view),) = seen_by(recipe, "human", dataset, start)
    assert (view.crop, view.fit) == ((0.3, 0.0, 0.7, 1.0), "stretch")
    ((_, view),) = seen_by(recipe, "robot", dataset, start)
    assert view.crop is None


@pytest.mark.parametrize(
    "seen",
    [SeenCamera(name="ego"), SeenCamera(name="ego", fit="pad"), SeenCamera(name="ego", crop=(0.25, 0.1, 0.5, 0.6))],
    ids=["centre", "padded", "cropped"],
)
def test_one_image_is_the_same_model_input_in_import_training_evaluation_and_node(tmp_path, seen):
    robot = robot_with(tmp_path, "ego")
    record(tmp_path / "bag", seconds=4, cameras={IMAGE: lambda stamp_ns: numbered(stamp_ns // STEP_NS)})
    convert_bags([tmp_path / "bag"], tmp_path / "recorded", BagConversion(robot), workers=0)
    make_random_checkpoint(tmp_path / "start")
    start, recipe = load_checkpoint(tmp_path / "start"), recipe_for("gr1", seen)
    contract = start.contract.model_copy(update={"crop": seen.crop, "fit": seen.fit})
    assert trained_views(recipe, start.contract) == contract.views
    dataset = LeRobotDataset(tmp_path / "recorded")
    first = int(dataset.frames(dataset.episodes[0])[0, 0, 0, 2])  # the number of the first image that is not idle
    image = numbered(first)

    ((camera, view),) = seen_by(recipe, "robot", dataset, start.contract)
    samples = {"bag": Pixels(dataset, recipe.augmentation, camera, view)}
    if seen.crop is None:  # the importer of LeRobot's datasets fits when it stores
        convert_lerobot([tmp_path / "recorded"], tmp_path / "imported", LeRobotConversion(embodiment="gr1", fit=seen.fit), workers=0)
        imported = LeRobotDataset(tmp_path / "imported")
        ((camera, view),) = seen_by(recipe, "robot", imported, start.contract)
        samples["lerobot"] = Pixels(imported, recipe.augmentation, camera, view)
        assert imported.stored_views["ego"].source_sizes == ((HEIGHT, WIDTH),)

    inputs = {name: pixels.take(np.array([0]), np.random.default_rng(0))[0].numpy() for name, pixels in samples.items()}
    inputs["evaluation"] = evaluated(contract, image)
    inputs["node"] = on_the_robot(contract, load_embodiment(robot).cameras[0], image)
    expected = fit_view(image, contract.views[0])
    assert expected.shape == (96, 96, 3)
    for path, got in inputs.items():
        np.testing.assert_array_equal(got, expected, err_msg=path)


def test_two_cameras_go_from_a_bag_into_a_chunk(tmp_path):
    robot = robot_with(tmp_path, "ego", "wrist")
    shown = {"/image/wrist": lambda stamp_ns: numbered(200 - stamp_ns // STEP_NS), IMAGE: lambda stamp_ns: numbered(stamp_ns // STEP_NS)}
    record(tmp_path / "bag", seconds=4, cameras=shown)
    convert_bags([tmp_path / "bag"], tmp_path / "dataset", BagConversion(robot), workers=0)
    make_random_checkpoint(tmp_path / "start")
    cameras = (SeenCamera(name="ego"), SeenCamera(name="wrist", crop=(0.0, 0.0, 1.0, 0.75), fit="pad"))
    for images in ("pixels", "cached"):
        recipe = recipe_for(robot, *cameras).model_copy(update={"images": images})
        trained = train(recipe, tmp_path / "start", {"robot": tmp_path / "dataset"}, tmp_path / images, 0, "dial train")
        loaded = load_checkpoint(trained)
        first, wrist = loaded.contract.views
        assert (first.name, wrist.name, wrist.crop, wrist.fit) == ("ego", "wrist", (0.0, 0.0, 1.0, 0.75), "pad")

    dataset = LeRobotDataset(tmp_path / "dataset")
    span = dataset.episodes[0]
    frames = [dataset.frames(span, camera)[0] for camera in ("ego", "wrist")]
    assert int(frames[0][0, 0, 2]) + int(frames[1][0, 0, 2]) == 200  # of one moment
    views = tuple(fit_view(frame, view) for frame, view in zip(frames, loaded.contract.views, strict=True))
    foresight = System2Session(loaded).foresight(views[0], span.instruction)
    session = System1Session(loaded)
    chunk = session.chunk(views, foresight, dataset.states[0])
    assert chunk.shape == (16, 47)
    blind = session.chunk((views[0], np.zeros_like(views[1])), foresight, dataset.states[0])
    assert np.abs(chunk - blind).max() > 1e-6  # the second camera counts


def test_fine_tuning_keeps_the_cameras_of_its_start(tmp_path):
    robot = robot_with(tmp_path, "ego", "wrist")
    make_random_checkpoint(tmp_path / "start")
    start = load_checkpoint(tmp_path / "start").contract
    trained = trained_views(recipe_for(robot, SeenCamera(name="ego", fit="pad"), SeenCamera(name="wrist")), start)
    first, *further = trained
    contract = start.model_copy(update={"fit": first.fit, "further_cameras": tuple(further)})
    assert trained_views(recipe_for(robot), contract) == trained


def test_gradients_reach_the_type_row_of_the_second_camera():
    model = DialModel.from_preset("dial_tiny")
    input_ids, attention_mask = Prompter(tiny_tokenizer(), 36).encode(["put the can"] * 2)
    batch = {
        "image_tokens": torch.randn(2, 36, 192),
        "goal_tokens": torch.randn(2, 36, 192),
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "state": torch.randn(2, 47),
        "action": torch.randn(2, 16, 47),
        "action_mask": torch.ones(2, 16, 47),
    }
    model("warmup", **batch).loss.backward()
    assert not model.system1.image_type.grad[2].any()
    model("warmup", **batch, further_image_tokens=torch.randn(2, 1, 36, 192)).loss.backward()
    assert model.system1.image_type.grad[2].any()
