from dataclasses import replace

import pytest

from dial_core.config import config_root, load_config, validate
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.model.dial import DialModel
from dial_core.reproduction.pipeline import Pipeline
from dial_core.reproduction.plan import ReproductionPlan
from dial_core.training.recipe import Recipe

PLANS = sorted(path.stem for path in (config_root() / "reproduction").glob("*.yaml"))


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_that_ships_has_its_steps_in_an_order_in_which_needs_come_first(name, tmp_path):
    pipeline = Pipeline(load_config(ReproductionPlan, "reproduction", name), tmp_path)
    seen: set[str] = set()
    for step in pipeline.steps.values():
        assert set(step.needs) <= seen
        seen.add(step.name)


@pytest.mark.parametrize("name", PLANS)
def test_every_method_learns_something_in_every_stage_of_its_recipe(name):
    """A recipe may name what one of its models freezes: `frozen` met that after hours of demonstrations."""
    plan = load_config(ReproductionPlan, "reproduction", name)
    for preset, recipe in sorted({(method.model, method.recipe) for method in plan.methods.values()}):
        model = DialModel.without_weights(load_config(Architecture, "models", preset))
        for stage in load_config(Recipe, "training", recipe).effective_stages():
            model.set_trainable(stage.stage)
            assert stage.optimisation.parameter_groups(model), (preset, recipe, stage.stage)


def test_only_what_a_section_shows_is_collected_trained_and_evaluated(pipeline):
    assert list(pipeline.steps) == [
        "pretrain",
        "demonstrations/few",
        "start/dial",
        "tokens/dial",
        "train/dial",
        "start/flare",
        "tokens/flare",
        "train/flare",
        "eval/dial/seen",
        "eval/flare/seen",
        "probe/dial/seen",
        "foresight/dial/seen",
    ]


def test_a_method_that_is_only_probed_is_trained_and_not_evaluated_beside_its_probes(values, tmp_path):
    values["sections"] = values["sections"][2:]
    names = list(Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path).steps)
    assert names[-3:] == ["train/dial", "probe/dial/seen", "foresight/dial/seen"]


def test_steps_are_the_commands_that_a_user_would_type(pipeline, tmp_path):
    out = tmp_path / "out"
    words = {name: " ".join(step.words) for name, step in pipeline.steps.items()}
    collected = "collect --task PlacematToPlate --episodes 2 --seed 0 --disturbed 0.5 --image-size 96"
    assert words["demonstrations/few"] == f"{collected} --out {out}/demonstrations/few"
    assert words["start/flare"] == f"begin {out}/pretrain/checkpoint --model dial_tiny_flare --out {out}/start/flare"
    data = f"--dataset robot={out}/demonstrations/few"
    assert words["train/flare"] == f"train --recipe dial_tiny {data} --start {out}/start/flare --out {out}/train/flare"
    scenes = "--suite in_distribution --task PlacematToPlate --task TrayToPot --episodes 4 --seed 100000"
    assert words["eval/flare/seen"] == f"eval {out}/train/flare/checkpoint {scenes} --videos 0 --out {out}/eval/flare/seen"
    assert "--videos 1" in words["eval/dial/seen"]  # the filmed one


def test_a_method_may_know_no_name_of_what_it_moves(values, tmp_path):
    values["methods"]["dial"]["new_names"] = True
    steps = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path).steps
    forgotten = [word for name in ("bottle", "can", "cup", "milk") for word in ("--forget", name)]
    assert list(steps["start/dial"].words[-8:]) == forgotten
    assert "--forget" not in steps["start/flare"].words


def test_scenes_may_have_their_own_timing_of_foresights(values, tmp_path):
    values["scenes"]["together"] = values["scenes"]["seen"] | {"system2_period_steps": 3, "system2_delay_steps": 0}
    values["sections"][0]["scenes"] = ["seen", "together"]
    steps = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path).steps
    assert "--seed 100000 --system2-period-steps 3 --system2-delay-steps 0 --videos" in " ".join(steps["eval/dial/together"].words)
    assert "--system2" not in " ".join(steps["eval/dial/seen"].words)


def test_shares_of_changed_instructions_and_of_misses_are_collected(values, tmp_path):
    values["demonstrations"]["few"] |= {"changed": 0.25, "missed": 0.2, "two_objects": 0.7}
    pipeline = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path)
    assert "--disturbed 0.5 --changed 0.25 --missed 0.2 --two-objects 0.7 --image-size" in " ".join(
        pipeline.steps["demonstrations/few"].words
    )


def test_a_method_with_a_second_tower_waits_for_one_trained_on_the_same_views(values, tmp_path):
    values["methods"]["flare"]["model"] = "dial_tiny_dino"
    pipeline = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path)
    assert pipeline.steps["encoder"].needs == ("pretrain",)
    assert f"--views {tmp_path}/pretrain/views" in " ".join(pipeline.steps["encoder"].words)
    assert pipeline.steps["start/flare"].needs == ("pretrain", "encoder")
    assert pipeline.steps["start/flare"].words[-2:] == ("--view-encoder", str(tmp_path / "encoder" / "tower"))
    assert "encoder" not in [step.name for step in pipeline.chosen(["dial"])]
    values["methods"]["dial"], values["methods"]["flare"] = values["methods"]["flare"], values["methods"]["dial"]
    later = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path)
    assert "encoder" not in [step.name for step in later.chosen(["flare"])], "one row must not cost another row's tower"


def test_a_fingerprint_is_of_what_a_recipe_sets_so_that_a_default_added_later_is_no_other_recipe(pipeline):
    optimisation = pipeline.steps["train/dial"].inputs["recipe"]["stages"][0]["optimisation"]
    assert optimisation["steps"] > 0
    assert "seed" not in optimisation


def test_methods_that_share_image_tokens_compute_them_one_after_the_other_and_pay_once(pipeline):
    first, second = pipeline.steps["tokens/dial"], pipeline.steps["tokens/flare"]
    assert "tokens/dial" in second.needs
    assert (first.core_s, second.core_s) == (2.0, 0.0)


def test_a_shipped_checkpoint_is_evaluated_without_its_training_and_the_others_are_trained(plan, values, tmp_path):
    values["methods"]["dial"]["shipped"] = "dial_tiny"
    with_shipped = validate(ReproductionPlan, values, source="test")
    assert list(Pipeline(with_shipped, tmp_path).steps) == list(Pipeline(plan, tmp_path).steps)  # unless it is asked for
    pipeline = Pipeline(with_shipped, tmp_path, model_id=str.upper)
    assert [step.name for step in pipeline.chosen(["dial"])] == ["eval/dial/seen", "probe/dial/seen", "foresight/dial/seen"]
    assert pipeline.steps["eval/dial/seen"].words[:2] == ("eval", "dial_tiny")
    assert pipeline.steps["eval/dial/seen"].inputs == {"model_id": "DIAL_TINY"}, "another checkpoint of that name is another result"
    assert {"demonstrations/few", "tokens/flare", "train/flare", "eval/flare/seen"} <= set(pipeline.steps)
    assert "tokens/dial" not in pipeline.steps["tokens/flare"].needs


def test_only_a_method_brings_what_its_results_need_and_no_other_results(pipeline):
    names = [step.name for step in pipeline.chosen(["flare"])]
    assert names[-1] == "eval/flare/seen"
    assert "train/flare" in names
    assert "train/dial" not in names
    assert "tokens/dial" not in names, "whose turn comes first if both are run, but whose result is not needed"
    assert [step.name for step in pipeline.chosen(["pretrain"])] == ["pretrain"]
    with pytest.raises(DialError, match="--only flair fits no step; methods: dial, flare; scenes: seen; steps: pretrain"):
        pipeline.chosen(["flair"])


def test_only_scenes_brings_every_method_that_is_measured_on_them(values, tmp_path):
    values["scenes"]["elsewhere"] = values["scenes"]["seen"] | {"seed": 200_000}
    values["sections"][0] |= {"methods": ["dial"], "scenes": ["elsewhere"]}
    names = [step.name for step in Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path).chosen(["elsewhere"])]
    assert names == ["pretrain", "demonstrations/few", "start/dial", "tokens/dial", "train/dial", "eval/dial/elsewhere"]


def test_floating_hands_are_filmed_task_by_task_and_merged(values, tmp_path):
    values["demonstrations"]["hands"] = {"tasks": ["PlacematToPlate", "TrayToPot"], "episodes": 3, "seed": 7, "body": "hands"}
    values["methods"]["dial"] = {"recipe": "dial_tiny_human", "data": {"robot": "few", "human": "hands"}}
    steps = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path).steps
    merge = steps["demonstrations/hands"]
    assert merge.needs == ("hands/hands/PlacematToPlate", "hands/hands/TrayToPot")
    assert merge.words[:2] == ("data", "merge")
    assert {"demonstrations/few", "demonstrations/hands"} <= set(steps["tokens/dial"].needs)


def test_a_changed_recipe_changes_the_fingerprint_of_its_training_alone(pipeline, values, tmp_path):
    values["methods"]["dial"]["recipe"] = "miniature"
    changed = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path / "out")
    differing = {name for name, step in pipeline.steps.items() if step.fingerprint != changed.steps[name].fingerprint}
    assert differing == {"tokens/dial", "train/dial"}


def test_what_a_method_was_trained_with_counts_for_its_results_and_for_no_others(pipeline, values, tmp_path):
    values["methods"]["dial"]["recipe"] = "miniature"
    changed = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path / "out")
    differing = {name for name, step in pipeline.steps.items() if step.basis != changed.steps[name].basis}
    assert differing == {"train/dial", "eval/dial/seen", "probe/dial/seen", "foresight/dial/seen"}  # flare waits for dial's tokens, no more
    assert pipeline.steps["pretrain"].basis == ""
    values["methods"]["dial"]["recipe"] = "dial_tiny"
    values["demonstrations"]["few"]["episodes"] = 3
    changed = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path / "out")
    differing = {name for name, step in pipeline.steps.items() if step.basis != changed.steps[name].basis}
    assert {"tokens/flare", "train/flare", "eval/flare/seen", "eval/dial/seen"} <= differing
    assert not {"demonstrations/few", "start/dial"} & differing


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (("methods", "dial", "data", "robot"), "many", "method dial: data names many; there are few, unused"),
        (("sections", 0, "methods"), ["dial", "gr00t"], "section 'The comparison' names gr00t; there are dial, flare, unshown"),
        (("sections", 0, "reference"), "unshown", "the reference unshown is none of its methods"),
        (("sections", 2, "scenes"), "unseen", "section 'Probes' names unseen; there are seen"),
        (("film",), "flair", "film names flair"),
        (("scenes", "seen", "system2_delay_steps"), 0, "section 'Probes': probes keep the robot's timing; scenes seen have their own"),
    ],
)
def test_names_that_do_not_exist_are_refused_with_those_that_do(values, path, value, error):
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(DialError, match=error):
        validate(ReproductionPlan, values, source="test")


@pytest.mark.parametrize(
    ("part", "name", "error"),
    [
        ("methods", "seen", "seen: methods, scenes and kinds of steps"),
        ("scenes", "eval", "eval: methods, scenes and kinds of steps"),
        ("methods", "a/b", "a/b: a name is of small letters"),
    ],
)
def test_names_that_only_could_not_tell_apart_are_refused(values, part, name, error):
    values[part][name] = next(iter(values[part].values()))
    with pytest.raises(DialError, match=error):
        validate(ReproductionPlan, values, source="test")


def test_pocket_is_the_miniature_with_fewer_steps_and_nothing_else():
    pocket, miniature = (load_config(Recipe, "training", name).model_dump() for name in ("pocket", "miniature"))
    for of_pocket, of_miniature in zip(pocket["stages"], miniature["stages"], strict=True):
        assert of_pocket["optimisation"].pop("steps") < of_miniature["optimisation"].pop("steps")
    assert pocket == miniature


def test_a_training_says_where_and_how_precisely_its_recipe_has_it_computed_and_its_fingerprint_does_not(pipeline):
    trained = {name: step for name, step in pipeline.steps.items() if step.trained_in}
    assert trained.keys() == {"pretrain", "train/dial", "train/flare"}
    step = trained["train/dial"]
    assert (step.trained_in, step.precision) == (pipeline.out / "train/dial", "float32")
    assert replace(step, trained_in=None, precision="").fingerprint == step.fingerprint
