import json

import pytest
from safetensors.torch import load_file

from dial_core.config import load_config
from dial_core.errors import DialError
from dial_core.runtime.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.training.pretrain import PretrainRecipe
from dial_core.training.recipe import Recipe
from dial_core.training.stages import train

RECIPE = """
embodiment: gr1
stages:
  - stage: warmup
    chunks_per_foresight: 2
    max_foresight_age_steps: 6
    optimisation: {steps: 2, batch_size: 4, learning_rate: 1.0e-3, log_period_steps: 1}
  - stage: end_to_end
    optimisation: {steps: 2, batch_size: 4, learning_rate: 1.0e-3, learning_rates: {system2.backbone: 1.0e-4}, log_period_steps: 1}
"""


def test_both_stages_train_all_but_the_frozen_parts_and_a_second_call_has_nothing_to_do(fake_dataset, tmp_path):
    make_random_checkpoint(tmp_path / "start")
    fake_dataset(tmp_path / "dataset")
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def run():
        recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
        return train(recipe, tmp_path / "start", {"robot": tmp_path / "dataset"}, tmp_path / "out", 0, "dial train")

    trained = run()
    before, after = load_file(tmp_path / "start/model.safetensors"), load_file(trained / "model.safetensors")
    changed = {name for name in after if not after[name].equal(before[name])}
    frozen = {name for name in after if "visual" in name or "embed_tokens" in name}
    assert frozen
    assert not changed & frozen
    assert {"system2.queries", "system1.position"} <= changed
    assert any("language_model" in name for name in changed)
    for stage in ("1-warmup", "2-end_to_end"):
        rows = [json.loads(line) for line in (tmp_path / "out" / stage / "log.jsonl").read_text().splitlines()]
        assert {"loss", "world_loss", "action_loss"} <= set(rows[0])
    # The idle left arm of the demonstrations is not blown up.
    assert load_checkpoint(trained).normaliser.action_std.min() >= 0.01
    stamp = (tmp_path / "out/1-warmup/log.jsonl").stat().st_mtime_ns
    run()
    assert (tmp_path / "out/1-warmup/log.jsonl").stat().st_mtime_ns == stamp
    # A finished stage is not passed off as that of another recipe or dataset.
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("chunks_per_foresight: 2", "chunks_per_foresight: 1"))
    with pytest.raises(DialError, match=r"stage\.chunks_per_foresight was 2, is now 1.*another --out"):
        run()
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    fake_dataset(tmp_path / "dataset", (24, 30))
    with pytest.raises(DialError, match=r"dataset\.robot\.episodes was 3, is now 2; dataset\.robot\.frames was 74, is now 54"):
        run()


@pytest.mark.parametrize(("schema", "name"), [(Recipe, "dial_tiny"), (PretrainRecipe, "dial_tiny_pretrain")])
def test_the_shipped_recipes_are_valid(schema, name):
    load_config(schema, "training", name)
