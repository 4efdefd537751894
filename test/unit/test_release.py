"""What ships besides code: the trained checkpoint with its card, and a README without gaps.

pytest test/unit/test_release.py
"""

import re
from pathlib import Path

import numpy as np

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.checkpoint.location import checkpoint_folder
from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.evaluation.closed_loop.suites import suite_tasks
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.robot.embodiment import load_embodiment
from dial_core.sim.scene import scene_of
from dial_core.sim.task import EVALUATION_SEEDS_FROM, load_task

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 32_000_000


def test_the_shipped_checkpoint_is_small_and_its_card_says_how_it_was_made():
    folder = checkpoint_folder("dial_tiny")
    assert sum(file.stat().st_size for file in folder.iterdir()) < MAX_BYTES
    card = (folder / "README.md").read_text()
    for command in ("dial pretrain", "dial train"):
        assert command in card
    assert '"seed"' in card


def test_the_shipped_checkpoint_fits_the_robot_and_knows_every_word_of_its_tasks():
    folder = checkpoint_folder("dial_tiny")
    checkpoint = load_checkpoint(folder)
    robot = load_embodiment("gr1")
    checkpoint.contract.require(robot, "ego")
    system2, system1 = System2Session(checkpoint), System1Session(checkpoint)
    tasks = suite_tasks("in_distribution")
    assert sorted(TrainedOn.load(folder).card()["tasks"]) == sorted(tasks)
    for task in map(load_task, tasks):
        said = {scene_of(task, seed).instruction for seed in range(EVALUATION_SEEDS_FROM, EVALUATION_SEEDS_FROM + 200)}
        assert system2.unknown_words(" ".join(sorted(said))) == [], task.name
    image = np.full((96, 96, 3), 128, np.uint8)
    foresight = system2.foresight(image, "put the can on the plate")
    chunk = system1.chunk(image, foresight, np.zeros(47, np.float32))
    assert chunk.shape == (16, 47)
    assert np.isfinite(chunk).all()


def test_the_readme_shows_only_what_is_there():
    text = (ROOT / "README.md").read_text()
    assert "RESULTS" not in text
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / path).exists(), f"README links {path}, which does not exist"
    for path in re.findall(r"`((?:dial_core|dial_ros|launch|config|msg|srv|checkpoints|test|docs)/[\w./]*)`", text):
        assert (ROOT / path).exists(), f"README names {path}, which does not exist"
