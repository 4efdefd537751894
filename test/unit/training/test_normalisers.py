from dataclasses import replace

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.config import load_config
from dial_core.datasets.drift import drift_of
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.model.normalise import Normaliser, rotation_dimensions
from dial_core.robot.vector_layout import OURS, load_layout
from dial_core.training.normalisers import choose_normalisers, reused_statistics_report
from dial_core.training.recipe import Recipe
from dial_core.training.stages import open_sources, train
from dial_core.training.trained_vectors import trained_vectors

FINETUNE = """
embodiment: gr1
statistics: reused
stages:
  - stage: end_to_end
    optimisation: {steps: 1, batch_size: 2, learning_rate: 1.0e-4, log_period_steps: 1}
"""


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    (tmp_path / "recipe.yaml").write_text(FINETUNE)
    return load_config(Recipe, "training", tmp_path / "recipe.yaml")


@pytest.fixture
def start(tmp_path):
    make_random_checkpoint(tmp_path / "start")
    return tmp_path / "start"


def replace_column(dataset: LeRobotDataset, name: str, values: np.ndarray) -> None:
    file = dataset.folder / "data/chunk-000/file-000.parquet"
    table = parquet.read_table(file)
    column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1).astype(np.float32)), values.shape[1])
    parquet.write_table(table.set_column(table.schema.get_field_index(name), name, column), file)


def test_a_fine_tuned_checkpoint_keeps_the_statistics_of_its_start_and_says_so(fake_dataset, recipe, start, tmp_path):
    folder = fake_dataset(tmp_path / "dataset").folder
    trained = train(recipe, start, {"robot": folder}, tmp_path / "out", 0, "dial train --from start")
    before, after = load_checkpoint(start).normaliser, load_checkpoint(trained).normaliser
    assert before.to_dict() == after.to_dict()
    assert "Statistics are the start's" in (trained / "README.md").read_text()
    again = recipe.model_copy(update={"statistics": "recomputed"})
    vectors = trained_vectors(again, open_sources(again, {"robot": folder}), OURS)
    fitted = choose_normalisers(again, vectors, load_checkpoint(start), OURS)["robot"]
    assert not np.allclose(fitted.state_mean, before.state_mean)


def test_what_lies_far_from_reused_statistics_is_named(fake_dataset, recipe, start, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset")
    states = dataset.states.copy()
    states[:, 18 + 7] += 2.0  # r_shoulder_pitch, two radians away
    replace_column(dataset, "observation.state", states)
    vectors = trained_vectors(recipe, {"robot": LeRobotDataset(dataset.folder)}, OURS)
    report = reused_statistics_report(recipe, vectors, load_checkpoint(start))
    assert "state r_shoulder_pitch (mean +" in report
    assert "`statistics: recomputed`" in report


def test_drift_is_reported_in_spreads_of_the_checkpoint_and_rotations_are_left_out():
    normaliser = Normaliser(np.zeros(47), np.full(47, 0.5), np.zeros(47), np.full(47, 0.5), rotation_dimensions(47))
    states = np.zeros((4, 47))
    states[:, 20] = [1.9, 2.1, 1.9, 2.1]
    first = drift_of(normaliser, [states], [states * 0], [str(index) for index in range(47)])[0]
    assert (first.what, first.name, round(first.shift, 3), round(first.widening, 3)) == ("state", "20", 4.0, 0.2)
    assert first.far
    assert len(drift_of(normaliser, [states], [states], [str(index) for index in range(47)])) == 2 * (47 - 12)


def test_drift_leaves_out_sines_and_counts_in_floors_where_an_imported_spread_is_zero():
    spread = np.full(47, 0.5)
    spread[20] = 0.0
    normaliser = Normaliser(np.zeros(47), spread, np.zeros(47), spread, rotation_dimensions(47), state_encoding="sin_cos", spread_floor=0.0)
    values = np.full((4, 47), 0.02)
    drifts = {(drift.what, drift.name): drift for drift in drift_of(normaliser, [values], [values], [str(index) for index in range(47)])}
    assert len(drifts) == 6 + 47 - 12, "of the state the positions alone"
    assert drifts["action", "20"].shift == pytest.approx(2.0)


def test_reused_statistics_of_vectors_in_another_layout_are_refused(fake_dataset, recipe, start, tmp_path):
    found, released = load_checkpoint(start), load_layout("released")
    vectors = trained_vectors(recipe, {"robot": fake_dataset(tmp_path / "dataset")}, OURS)
    begun = replace(found, contract=found.contract.model_copy(update={"layout": released}))
    with pytest.raises(DialError, match=r"layout 'released', and the recipe trains in 'ours'; leave `layout` out.*recomputed"):
        choose_normalisers(recipe, vectors, begun, OURS)
    assert choose_normalisers(recipe, vectors, begun, released)["robot"] is begun.normaliser


def test_reused_statistics_of_another_robot_are_refused(fake_dataset, recipe, start, tmp_path):
    found = load_checkpoint(start)
    begun = replace(found, contract=found.contract.model_copy(update={"embodiment": "iron"}))
    vectors = trained_vectors(recipe, {"robot": fake_dataset(tmp_path / "dataset")}, OURS)
    with pytest.raises(DialError, match="the start is of 'iron' and the recipe of 'gr1'"):
        choose_normalisers(recipe, vectors, begun, OURS)


def test_a_value_that_is_not_finite_is_reported_by_episode_and_frame(fake_dataset, recipe, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset", (24, 30, 20))
    actions = dataset.actions.copy()
    actions[24 + 3, 18] = np.inf
    replace_column(dataset, "action", actions)
    with pytest.raises(DialError, match=r"episode 1: action: 1 values are not finite, first in frame 3, dimension 18 \(l_shoulder_pitch\)"):
        open_sources(recipe, {"robot": dataset.folder})
