"""The release's data, as the converters store them for its recipes: people at 30 Hz, and both kinds of images cropped."""

import numpy as np
import pytest

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.config import load_config
from dial_core.datasets.inspection import check_dataset
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.egodex.egodex_conversion import EgoDexConversion, convert_egodex
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, convert_lerobot
from dial_core.robot.vector_layout import OURS
from dial_core.training.normalisers import choose_normalisers
from dial_core.training.recipe import Recipe
from dial_core.training.source_checks import require_rate
from dial_core.training.stages import make_streams, open_sources, train
from dial_core.training.trained_vectors import trained_vectors

from ..importers.source_files import write_egodex, write_gr00t_set

FRAMES = 25
PEOPLE = EgoDexConversion(rate_hz=30.0, crop=(0.3, 0.0, 0.7, 1.0), fit="stretch")
ROBOT = LeRobotConversion("robocasa_gr1", crop=(0.17, 0.0, 0.66, 1.0), fit="stretch")


@pytest.fixture
def folders(tmp_path):
    """Datasets of the release's two sources: a hand that moves ahead by 1 cm a frame, and a robot."""
    poses = {name: np.tile(np.eye(4), (FRAMES, 1, 1)) for name in ("camera", "leftHand", "rightHand")}
    poses["rightHand"][:, 2, 3] = 0.4 + 0.01 * np.arange(FRAMES)
    write_egodex(tmp_path / "part1/basic_pick_place", 0, poses, llm_description="Pick the cup.")
    convert_egodex([tmp_path / "part1"], tmp_path / "human", PEOPLE, workers=0)
    write_gr00t_set(tmp_path / "robocasa", (20, 20))
    convert_lerobot([tmp_path / "robocasa"], tmp_path / "robot", ROBOT, workers=0)
    return {name: tmp_path / name for name in ("robot", "human")}


def released(**changes) -> Recipe:
    """The recipe `released_human`, at the size of a test."""
    recipe = load_config(Recipe, "training", "released_human")
    small = {"steps": 1, "batch_size": 4, "bf16": False, "gradient_checkpointing": False}
    stages = [stage.model_copy(update={"optimisation": stage.optimisation.model_copy(update=small)}) for stage in recipe.stages]
    return recipe.model_copy(update={"model": "dial_tiny", "state_encoding": "raw", "stages": stages} | changes)


def test_the_released_recipe_trains_on_what_the_converters_store_for_it(folders, tmp_path):
    make_random_checkpoint(tmp_path / "start")
    trained = load_checkpoint(train(released(), tmp_path / "start", folders, tmp_path / "out", 0, "dial train"))
    assert trained.contract.rate_hz == 20  # of what the robot executes


def test_a_chunk_of_people_has_as_many_steps_in_less_time(folders, tmp_path):
    make_random_checkpoint(tmp_path / "start")
    recipe, start = released(), load_checkpoint(tmp_path / "start")
    datasets = open_sources(recipe, folders)
    assert (datasets["robot"].rate_hz, datasets["human"].rate_hz) == (20, 30)
    (people,) = [s for s in make_streams(recipe, recipe.stages[0], datasets, start, tmp_path / "start", 0)[0] if s.name == "human"]
    vectors = trained_vectors(recipe, datasets, OURS)
    chunk = choose_normalisers(recipe, vectors, start, OURS)["human"].decode_action(people.vectors.action(np.arange(16))[:, :18])
    # 15 frames of 1 cm, in half a second; at 20 Hz it would be 22.5 cm in three quarters.
    assert np.linalg.norm(chunk[-1, 9:12] - chunk[0, 9:12]) == pytest.approx(0.15, abs=1e-4)


def test_people_at_the_robots_rate_are_refused_where_the_recipe_says_30_hz(tmp_path, folders):
    convert_egodex([tmp_path / "part1"], tmp_path / "slower", EgoDexConversion(), workers=0)
    with pytest.raises(DialError, match=r"has 20 frames a second, the recipe expects 30"):
        require_rate("human", LeRobotDataset(tmp_path / "slower"), released())


def test_whole_images_are_refused_by_a_recipe_that_crops(tmp_path, folders):
    convert_egodex([tmp_path / "part1"], tmp_path / "whole", EgoDexConversion(rate_hz=30.0, fit="stretch"), workers=0)
    make_random_checkpoint(tmp_path / "start")
    with pytest.raises(DialError, match="convert the data again with that --fit and --crop"):
        train(released(), tmp_path / "start", folders | {"human": tmp_path / "whole"}, tmp_path / "out", 0, "dial train")


def test_a_check_of_people_at_30_hz_names_the_key_that_trains_on_them(folders):
    findings = check_dataset(LeRobotDataset(folders["human"]), "human")
    assert [finding.text for finding in findings if "rate_hz: 30" in finding.text]
    assert not [finding for finding in findings if finding.kind == "error"]
