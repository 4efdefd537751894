"""From a release's checkpoint over fine-tuning to an evaluation: layout, statistics, slot, crop and prompt stay the release's.

pytest test/unit/release/test_fine_tuning.py
"""

import numpy as np
import pytest
import torch

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.config import validate
from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.episodes import Episode, save_episode
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeJob, run_episode
from dial_core.evaluation.closed_loop.suites import suite_protocol
from dial_core.release.importing import import_release
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.training.recipe import Recipe
from dial_core.training.stages import train

from .test_importing import GR1, release  # noqa: F401  # a fixture
from .test_on_the_benchmark import CHUNK, conversation, suite  # noqa: F401  # fixtures

FINETUNE = {
    "embodiment": "gr1",
    "statistics": "reused",
    "images": "pixels",
    "stages": [{"stage": "end_to_end", "optimisation": {"steps": 3, "batch_size": 2, "learning_rate": 1e-3, "log_period_steps": 1}}],
}
STANDING = {"position": (2.0, -1.0, 0.93), "quaternion": (0.5**0.5, 0.0, 0.0, 0.5**0.5)}


def demonstrations(folder, facts):
    """One episode around the home position, its images as the benchmark stores them."""
    joints = GR1.home_position + 0.2 * np.sin(np.linspace(0, 2, 25))[:, None] * np.linspace(0, 1, 29)
    joints = np.clip(joints, GR1.lower, GR1.upper)
    vectors = np.concatenate([ForwardKinematics(GR1).wrist_poses(joints), joints], 1).astype(np.float32)
    frames = np.random.default_rng(0).integers(0, 256, (24, 256, 256, 3), np.uint8)
    path = folder.with_name("attempts") / "0.npz"
    save_episode(path, Episode(frames, vectors[:-1], vectors[1:], "pick the cup", 0, facts), 20.0)
    write_dataset(folder, [path], GR1, (256, 256))
    return {"robot": folder}


def test_imported_weights_are_fine_tuned_in_their_own_layout_and_drive_the_benchmark(release, suite, conversation, tmp_path):  # noqa: F811
    import_release(release[0], tmp_path / "imported")
    recipe = validate(Recipe, FINETUNE, "test")
    folders = demonstrations(tmp_path / "data", {"base": STANDING})
    tuned = train(recipe, tmp_path / "imported", folders, tmp_path / "out", 0, "dial train --from imported --recipe finetune")

    before, after = load_checkpoint(tmp_path / "imported"), load_checkpoint(tuned)
    assert before.contract.model_dump(exclude={"model_id"}) == after.contract.model_dump(exclude={"model_id"})
    assert (after.contract.layout.name, after.contract.slot, after.model.arch.embodiments[24]) == ("released", 24, "gr1")
    assert before.normaliser.to_dict() == after.normaliser.to_dict()
    heads = [checkpoint.model.state_dict()["system1.action_head.layer2.weight"] for checkpoint in (before, after)]
    moved = [slot for slot in range(32) if not torch.allclose(heads[0][slot], heads[1][slot], atol=1e-3, rtol=1e-2)]
    assert moved == [24], "the slot that drives, and no copy of another"
    assert "Statistics are the start's" in (tuned / "README.md").read_text()

    source = PolicySource("checkpoint", str(tuned))
    protocol = Protocol(**suite_protocol(suite), suite=suite, tasks=("AtEight",))
    result = run_episode(EpisodeJob(protocol, source, Case("AtEight", protocol.seed)))
    assert (result.error, result.steps) == (None, 2 * CHUNK)
    targets = [arrays["action.right_hand"] for name, arrays, _ in conversation if name == "step"]
    assert np.isfinite(targets).all()
    assert np.max(targets) <= 1.74 + 1e-6, "in the benchmark's units: a finger's hinges close at 1.74 rad"


def test_without_the_robots_place_in_the_data_the_recipe_must_say_it(release, tmp_path):  # noqa: F811
    import_release(release[0], tmp_path / "imported")
    folders = demonstrations(tmp_path / "data", {})
    with pytest.raises(DialError, match=r"layout 'released' has its wrists in the world frame.*give the recipe `base: "):
        train(validate(Recipe, FINETUNE, "test"), tmp_path / "imported", folders, tmp_path / "a", 0, "dial train")
    given = validate(Recipe, FINETUNE | {"base": STANDING}, "test")
    tuned = load_checkpoint(train(given, tmp_path / "imported", folders, tmp_path / "b", 0, "dial train"))
    assert tuned.contract.layout.base == given.base, "a robot that stands still needs nobody to report it"
