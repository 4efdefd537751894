"""The checkpoint that a run starts from.

pytest test/unit/training/test_starting.py
"""

import pytest

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.config import load_config
from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.training.recipe import Recipe
from dial_core.training.starting import grow_slots, starting_point

CO_TRAINING = """
embodiment: gr1
sources:
  human: {slot: human, human: true, dimensions: eef}
stages:
  - stage: warmup
    mixture: {robot: 1.0, human: 1.0}
    optimisation: {steps: 1, batch_size: 2, learning_rate: 1.0e-3}
"""


def test_a_model_without_a_pretrained_backbone_needs_a_start(tmp_path):
    recipe = Recipe(embodiment="gr1", model="dial_tiny", stages=load_config(Recipe, "training", "dial_tiny").stages)
    with pytest.raises(DialError, match="dial begin"):
        starting_point(recipe, None, tmp_path)


def test_another_start_in_the_same_folder_is_not_taken_for_the_one_that_got_a_slot_there(tmp_path):
    (tmp_path / "recipe.yaml").write_text(CO_TRAINING)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
    queries = []
    for seed in (0, 1):
        make_random_checkpoint(tmp_path / str(seed), seed=seed)
        begun = starting_point(recipe, tmp_path / str(seed), tmp_path / "out")
        assert begun == starting_point(recipe, tmp_path / str(seed), tmp_path / "out")
        queries += [load_checkpoint(folder).model.state_dict()["system2.queries"] for folder in (begun, tmp_path / str(seed))]
    assert queries[0].equal(queries[1])
    assert queries[2].equal(queries[3])
    assert not queries[0].equal(queries[2])


def test_a_run_of_a_version_that_did_not_name_the_start_goes_on_with_what_it_made(tmp_path):
    (tmp_path / "recipe.yaml").write_text(CO_TRAINING)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
    for seed in (0, 1):
        make_random_checkpoint(tmp_path / str(seed), seed=seed)
    starting_point(recipe, tmp_path / "0", tmp_path / "out").rename(tmp_path / "out/0-start")
    assert starting_point(recipe, tmp_path / "0", tmp_path / "out") == tmp_path / "out/0-start"
    assert starting_point(recipe, tmp_path / "1", tmp_path / "out") != tmp_path / "out/0-start"


def test_a_start_without_the_slot_gets_it_as_a_copy_of_its_first():
    before = DialModel.from_preset("dial_tiny")
    after = grow_slots(before, ("gr1", "human")).state_dict()
    for name, value in before.state_dict().items():
        assert after[name][:1].equal(value) if len(after[name]) != len(value) else after[name].equal(value)
    assert after["system1.state_encoder.layer1.weight"][1].equal(after["system1.state_encoder.layer1.weight"][0])
