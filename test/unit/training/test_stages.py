import json

import numpy as np
import pyarrow
import pytest
import yaml
from pyarrow import parquet
from safetensors.torch import load_file

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.config import load_config
from dial_core.errors import DialError
from dial_core.files.fingerprint import FINGERPRINT
from dial_core.files.folder_lock import folder_lock
from dial_core.model.configuration import Architecture
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.vector_layout import OURS
from dial_core.training import stages
from dial_core.training.early_steps import Beginnings
from dial_core.training.normalisers import choose_normalisers
from dial_core.training.optimisation import Hardware
from dial_core.training.pretrain.pretraining import PretrainRecipe
from dial_core.training.recipe import Recipe
from dial_core.training.stages import check_stages, open_sources, stage_seed, train
from dial_core.training.starting import architecture_of
from dial_core.training.trained_vectors import trained_vectors

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
    # What guards and stores a run may change in between, as after a spike.
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("steps: 2,", "steps: 2, spike_factor: 100.0, save_period_s: 9.0,"))
    run()
    # Nor does a key count that a later version added, left at its default.
    fingerprint = tmp_path / "out/1-warmup" / FINGERPRINT
    settings = json.loads(fingerprint.read_text())
    assert settings["stage"].pop("flow_draws") == 1
    assert settings["stage"]["optimisation"].pop("optimiser") == "adamw"
    assert settings.pop("state_encoding") == "raw"
    assert settings["dataset"]["robot"].pop("content")
    fingerprint.write_text(json.dumps(settings))
    run()
    with folder_lock(tmp_path / "out", "dial train"), pytest.raises(DialError, match="another `dial train`"):
        run()
    # A finished stage is not passed off as that of another recipe or dataset, be it of the same size.
    fingerprint.write_text(json.dumps(settings | {"dataset": {"robot": settings["dataset"]["robot"] | {"content": "0123"}}}))
    with pytest.raises(DialError, match=r"dataset\.robot\.content was 0123, is now"):
        run()
    fingerprint.write_text(json.dumps(settings))
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("chunks_per_foresight: 2", "chunks_per_foresight: 1"))
    with pytest.raises(DialError, match=r"stage\.chunks_per_foresight was 2, is now 1.*another --out"):
        run()
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    fake_dataset(tmp_path / "dataset", (24, 30))
    with pytest.raises(DialError, match=r"dataset\.robot\.episodes was 3, is now 2; dataset\.robot\.frames was 74, is now 54"):
        run()


CO_TRAINING = """
embodiment: gr1
model: dial_tiny
sources:
  human: {slot: human, human: true, dimensions: eef}
images: pixels
augmentation: {crop: 0.9, brightness: 0.2, contrast: 0.2, saturation: 0.2}
normalisation: quantiles
stages:
  - stage: warmup
    mixture: {robot: 1.0, human: 1.0}
    optimisation: &fast {steps: 1, batch_size: 12, learning_rate: 1.0e-3, log_period_steps: 1}
  - name: robot_only
    stage: end_to_end
    optimisation: *fast
"""


def test_a_stages_beginnings_reach_its_samples_with_what_the_dataset_says_of_objects(fake_dataset, tmp_path, monkeypatch):
    class DrawnError(Exception):
        pass

    def drawn(streams, *rest):
        raise DrawnError(streams[0].several_objects.tolist(), rest[-1])

    make_random_checkpoint(tmp_path / "start")
    fake_dataset(tmp_path / "dataset")
    wanted = "beginnings: {share: 0.5, steps: 2, several_objects: true}"
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("chunks_per_foresight: 2", wanted))
    monkeypatch.setattr(stages, "ChunkSamples", drawn)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
    with pytest.raises(DrawnError) as found:
        train(recipe, tmp_path / "start", {"robot": tmp_path / "dataset"}, tmp_path / "out", 0, "dial train")
    several, beginnings = found.value.args
    assert several
    assert all(several)
    assert beginnings == Beginnings(share=0.5, steps=2, several_objects=True)


def test_people_and_robots_train_one_model_from_pixels_stage_after_stage(fake_dataset, tmp_path):
    folders = {name: fake_dataset(tmp_path / name).folder for name in ("robot", "human")}
    (tmp_path / "recipe.yaml").write_text(CO_TRAINING)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
    make_random_checkpoint(tmp_path / "start")
    trained = load_checkpoint(train(recipe, tmp_path / "start", folders, tmp_path / "out", 0, "dial train"))
    assert trained.model.arch.embodiments == ("gr1", "human")
    assert trained.normaliser.action_dim == 47
    initial = load_checkpoint(next((tmp_path / "out").glob("0-start-*"))).model.state_dict()
    first = load_checkpoint(tmp_path / "out/1-warmup/checkpoint").model.state_dict()
    last = load_checkpoint(tmp_path / "out/2-robot_only/checkpoint").model.state_dict()
    head = "system1.action_head.layer2.weight"
    assert not initial[head][1].equal(first[head][1])
    assert first[head][1].equal(last[head][1])  # without people no gradient reaches their slot
    assert not first[head][0].equal(last[head][0])
    # The joints that people do not have taught their slot's head nothing.
    assert initial[head][1][:, 18:].equal(first[head][1][:, 18:])


SHARED = CO_TRAINING.replace("slot: human", "slot: gr1")


def test_people_and_robots_may_share_a_slot_and_keep_statistics_of_their_own(fake_dataset, tmp_path):
    folders = {name: fake_dataset(tmp_path / name).folder for name in ("robot", "human")}
    (tmp_path / "recipe.yaml").write_text(SHARED)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
    make_random_checkpoint(tmp_path / "start")
    trained = load_checkpoint(train(recipe, tmp_path / "start", folders, tmp_path / "out", 0, "dial train"))
    assert trained.model.arch.embodiments == ("gr1",)
    assert trained.normaliser.action_dim == 47
    vectors = trained_vectors(recipe, open_sources(recipe, folders), OURS)
    normalisers = choose_normalisers(recipe, vectors, trained, OURS)
    assert (normalisers["human"].action_dim, normalisers["robot"].action_dim) == (18, 47)
    initial, last = (load_checkpoint(tmp_path / "out" / name).model.state_dict() for name in ("../start", "1-warmup/checkpoint"))
    assert not initial["system1.action_head.layer2.weight"].equal(last["system1.action_head.layer2.weight"])


RELEASED = """
embodiment: gr1
state_encoding: sin_cos
stages:
  - {stage: warmup, mixture: {robot: frames}, optimisation: &fast {steps: 2, batch_size: 4, learning_rate: 1.0e-3, log_period_steps: 1}}
  - {stage: end_to_end, mixture: {robot: frames}, optimisation: *fast}
  - {name: last, stage: end_to_end, mixture: {robot: frames}, optimisation: *fast}
"""


def test_the_release_is_trained_with_sines_padding_and_a_copied_head_in_its_last_stage(fake_dataset, tmp_path):
    values = load_config(Architecture, "models", "dial_tiny").model_dump()
    released = values | {"state_dim": 128, "action_dim": 128, "loss": "mean", "separate_world_head": "last_stage"}
    released["decoder"] |= {"dropout": 0.2, "drops_attention_twice": True}
    (tmp_path / "released_tiny.yaml").write_text(yaml.safe_dump(json.loads(Architecture.model_validate(released).model_dump_json())))
    make_random_checkpoint(tmp_path / "start", preset=str(tmp_path / "released_tiny.yaml"))
    (tmp_path / "recipe.yaml").write_text(RELEASED)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
    folder = fake_dataset(tmp_path / "robot").folder
    trained = load_checkpoint(train(recipe, tmp_path / "start", {"robot": folder}, tmp_path / "out", 0, "dial train"))
    assert (trained.normaliser.state_encoding, trained.normaliser.state_dim) == ("sin_cos", 18 + 2 * 29)
    stages = [load_checkpoint(tmp_path / "out" / f"{name}/checkpoint").model for name in ("1-warmup", "2-end_to_end", "3-last")]
    assert [model.system2.world_head is not None for model in stages] == [False, False, True]
    heads = stages[-1].system2
    assert not heads.world_head[0].weight.equal(heads.foresight_head[0].weight)


def test_every_stage_samples_again():
    assert len({stage_seed(0, number) for number in range(1, 5)} | {stage_seed(1, 1)}) == 5


def test_sources_are_drawn_by_shares_or_by_frames():
    stage = load_config(Recipe, "training", "released_few_shot").stages[0]
    assert stage.weights({"robot": 7}) == {"robot": 7.0}
    assert load_config(Recipe, "training", "human").stages[0].weights({"robot": 7, "human": 9}) == {"robot": 1.0, "human": 1.0}


def test_data_of_which_a_part_was_copied_are_not_trained_on(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "robot")
    file = dataset.folder / "meta/info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"total_episodes": 4}))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
    with pytest.raises(DialError, match=r"source 'robot': .* lists 3 episodes, its meta/info.json says 4"):
        open_sources(recipe, {"robot": dataset.folder})


def test_data_that_is_missing_or_broken_stops_before_anything_is_trained(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "robot")
    (tmp_path / "recipe.yaml").write_text(CO_TRAINING)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml")
    with pytest.raises(DialError, match="draws from human: say where with `--dataset human=FOLDER`"):
        open_sources(recipe, {"robot": dataset.folder})
    with pytest.raises(DialError, match="no stage of the recipe draws from hands"):
        open_sources(recipe.model_copy(update={"human_data": False}), {"robot": dataset.folder, "hands": dataset.folder})
    table = parquet.read_table(dataset.folder / "data/chunk-000/file-000.parquet")
    states = np.stack(table["observation.state"].to_pylist())
    states[5, 20] = np.nan
    column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(states.reshape(-1).astype(np.float32)), 47)
    table = table.set_column(table.schema.get_field_index("observation.state"), "observation.state", column)
    parquet.write_table(table, dataset.folder / "data/chunk-000/file-000.parquet")
    with pytest.raises(DialError, match=r"observation\.state: 1 values are not finite, first in frame 5, dimension 20 \(l_"):
        open_sources(recipe.model_copy(update={"human_data": False}), {"robot": dataset.folder})


def test_a_typo_in_the_last_stage_stops_before_anything_is_written(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("system2.backbone", "sistem2"))
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml", ["model=dial_tiny"])
    with pytest.raises(DialError, match="`learning_rates` names sistem2"):
        train(recipe, None, {"robot": tmp_path / "dataset"}, tmp_path / "out", 0, "dial train")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_config(Recipe, "training", tmp_path / "recipe.yaml", ["model=dial_tiny"])
    with pytest.raises(DialError, match=r"a batch of 4 does not divide into 3 processes.*take 2, or set.*multiple of 3"):
        check_stages(recipe, None, Hardware(), 3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stages.0.mixture.robot=0", "not all 0"),
        ("stages.0.mixture.robot=-1", "not negative"),
        ("stages.0.mixture.robot=.inf", "must be finite"),
        ("stages.1.mixture={}", "stage 2: shares of `mixture`"),
        ("stages.0.name=../elsewhere", "stages.0.name"),
        ("stages.0.optimisation.learning_rate=.inf", "finite number"),
        ("stages.0.optimisation.learning_rates.system2=-1e-3", "greater than or equal to 0"),
        ("stages.0.optimisation.betas=[1.5, 0.9]", "less than 1"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_as_it_is_read(tmp_path, change, message):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(DialError, match=message):
        load_config(Recipe, "training", tmp_path / "recipe.yaml", [change])


@pytest.mark.parametrize(
    ("cameras", "message"), [("[]", "name its cameras"), ("[{name: ego, fit: pad}]", "camera ego's black bars in training alone")]
)
def test_crops_that_the_robot_would_not_see_are_refused(tmp_path, cameras, message):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    changes = ["images=pixels", "augmentation={crop: 0.9, always_crops: true}", f"cameras={cameras}"]
    with pytest.raises(DialError, match=message):
        load_config(Recipe, "training", tmp_path / "recipe.yaml", changes)


RECIPES = ("dial_tiny", "released_few_shot", "released_human", "few_shot", "full", "human", "real_robot")


@pytest.mark.parametrize("name", RECIPES)
def test_the_shipped_recipes_are_valid_and_their_models_exist(name):
    recipe = load_config(Recipe, "training", name)
    if recipe.model is not None:
        arch = architecture_of(recipe, None)
        assert recipe.embodiment in arch.embodiments
        assert arch.action_dim >= load_embodiment(recipe.embodiment).state_dim
    load_config(PretrainRecipe, "training", "dial_tiny_pretrain")


def test_the_papers_two_switches_change_the_stages_and_nothing_else():
    recipe = load_config(Recipe, "training", "human")
    alone = recipe.model_copy(update={"human_data": False, "warmup": False})
    assert [stage.stage for stage in alone.effective_stages()] == ["end_to_end"] * 3
    assert [stage.mixture for stage in alone.effective_stages()] == [{"robot": 1.0}] * 3
    assert [stage.optimisation for stage in alone.effective_stages()] == [stage.optimisation for stage in recipe.stages]


@pytest.mark.parametrize("name", ["dial_tiny", "pocket", "miniature"])
def test_without_warmup_every_module_keeps_its_rate(name):
    # The language model's is a fifth of the others': at the full rate it forgets to read, and the ablation would show that instead.
    stages = load_config(Recipe, "training", f"{name}_no_warmup").effective_stages()
    assert [stage.stage for stage in stages] == ["end_to_end"] * 2
    assert [stage.optimisation.learning_rates for stage in stages] == [{"system2.backbone": 1e-4}] * 2


@pytest.mark.parametrize("name", RECIPES)
def test_the_papers_step_counts(name):
    steps = {"few_shot": [20000, 20000], "full": [80000, 80000], "human": [20000, 20000, 20000], "real_robot": [80000, 80000, 2000]}
    if name in steps:
        assert [stage.optimisation.steps for stage in load_config(Recipe, "training", name).stages] == steps[name]
