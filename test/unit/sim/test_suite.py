"""What the splits promise: nothing of an unseen suite occurs in training. pytest test/unit/sim/test_suite.py"""

import re

import numpy as np
import pytest

from dial_core.config import config_root, validate
from dial_core.errors import DialError
from dial_core.sim.appearances import appearance_pools, find_appearances
from dial_core.sim.catalogue import load_object
from dial_core.sim.scene import other_instruction, scene_of
from dial_core.sim.suite import load_suite, suite_names
from dial_core.sim.task import Task, load_task, task_names

COUNTS = {
    "in_distribution": 24,
    "two_objects": 14,
    "unseen_appearance": 18,
    "unseen_combination": 14,
    "unseen_instruction": 24,
    "unseen_object": 32,
}
# Unseen objects that have the parts of a training type, in other colours; docs/tabletop.md lists them too.
DRINKS = {"beer_bottle", "beer_mug", "soy_carton", "tonic_can"}
JARS_AND_TINS = {"bean_tin", "corn_tin", "mayonnaise", "olive_jar", "peanut_butter"}
KNOWN_SHAPES = DRINKS | JARS_AND_TINS | {"chilli_sauce", "cookie_box", "maple_syrup", "pasta_box", "rice_box", "sugar_shaker"}
ALIKE = 0.1  # two colours closer than this (distance in RGB 0..1) appearance alike


@pytest.fixture(scope="module")
def training():
    return load_suite("in_distribution").tasks


def colours_of(types) -> np.ndarray:
    return np.array([colour for name in types for choices in load_object(name).colours.values() for colour in choices])


def body_colours(name: str) -> np.ndarray:
    """The choices (N, 3) of a type's first colour, its body's."""
    return np.array(next(iter(load_object(name).colours.values())))


def test_the_suites_have_the_sizes_of_the_benchmark():
    assert suite_names() == sorted(COUNTS)
    assert {name: len(load_suite(name).tasks) for name in COUNTS} == COUNTS
    assert set(load_suite("in_distribution").task_names) == set(task_names())


def test_two_objects_are_all_tasks_that_may_hold_two_with_two_in_every_scene(training):
    tasks = load_suite("two_objects").tasks
    assert [task.name for task in tasks] == [task.name for task in training if task.second_object_probability > 0 and len(task.objects) > 1]
    assert all(len(scene_of(task, seed).objects) == 2 for task in tasks for seed in range(200_000, 200_004))


def test_unseen_combinations_are_all_the_pairs_that_training_does_not_have(training):
    seen = {(task.source, task.target) for task in training if not task.name.endswith("Close")}
    unseen = {(task.source, task.target) for task in load_suite("unseen_combination").tasks}
    sources, targets = ({pair[i] for pair in seen} for i in (0, 1))
    assert len(seen) == 18
    assert not seen & unseen
    assert seen | unseen == {(source, target) for source in sources for target in targets}
    seen_types = {name for task in training for name in task.object_types}
    assert {name for task in load_suite("unseen_combination").tasks for name in task.object_types} <= seen_types


def test_unseen_objects_occur_in_no_training_scene_not_even_as_distractors(training):
    trained = {name for task in training for name in task.object_types}
    unseen = [name for task in load_suite("unseen_object").tasks for name in task.objects]
    assert len(set(unseen)) == 32
    assert not trained & set(unseen)
    nouns = {load_object(name).called for name in trained}
    assert not nouns & {load_object(name).called for name in unseen}


def shape_of(name: str) -> list[dict]:
    """The parts of a type, in its own units and without their colours."""
    return [part.model_dump(exclude={"colour"}) for part in load_object(name).parts]


def test_of_the_unseen_objects_those_with_the_shape_of_a_training_type_are_known_and_documented(training):
    trained = [shape_of(name) for name in sorted({name for task in training for name in (*task.objects, *task.distractors)})]
    unseen = [name for task in load_suite("unseen_object").tasks for name in task.objects]
    known = {name for name in unseen if shape_of(name) in trained}
    assert known == KNOWN_SHAPES
    page = (config_root().parent / "docs/tabletop.md").read_text(encoding="utf-8")
    listed = re.search(rf"{len(unseen) - len(known)} new shapes, {len(known)} known shapes[^(]*\(([^)]*)\)", page)
    assert listed
    assert set(re.findall(r"`(\w+)`", listed[1])) == known


def test_unseen_objects_of_a_known_shape_have_no_body_colour_of_a_training_type_of_that_shape(training):
    trained = sorted({name for task in training for name in (*task.objects, *task.distractors)})
    for name in KNOWN_SHAPES:
        alike = [body_colours(other) for other in trained if shape_of(other) == shape_of(name)]
        for colour in body_colours(name):
            assert np.linalg.norm(np.concatenate(alike) - colour, axis=1).min() > ALIKE, name


def test_unseen_appearances_share_no_look_pattern_or_table_colour_with_training(training):
    seen = find_appearances(tuple({name for task in training for name in task.appearances}))
    unseen = find_appearances(tuple(name for task in load_suite("unseen_appearance").tasks for name in task.appearances))
    assert len({appearance.name for appearance in unseen}) == 18
    assert not {appearance.pattern for appearance in seen} & {appearance.pattern for appearance in unseen}
    assert {appearance.name for appearance in seen} == {appearance.name for appearance in appearance_pools()["training"]}
    before = np.array([colours for appearance in seen for colours in appearance.colours])
    for appearance in unseen:
        distances = [np.linalg.norm(before - colour, axis=1).min() for colour in appearance.colours]
        assert max(distances) > ALIKE, appearance.name


def test_unseen_appearances_give_no_thing_a_colour_that_it_has_in_training(training):
    """Every type's first colour, its body's, is replaced by one that no scene of training gives that type."""
    for task in load_suite("unseen_appearance").tasks:
        for seed in range(100_000, 100_006):
            for thing in scene_of(task, seed).things:
                own = colours_of([thing.type])
                body = next(iter(thing.colours.values()))
                assert np.linalg.norm(own - body, axis=1).min() > ALIKE, (task.name, thing)


def test_every_scene_names_what_stands_on_its_source_and_no_two_things_stand_in_one_place():
    for name in COUNTS:
        for task in load_suite(name).tasks:
            for seed in range(100_000, 100_008):
                scene = scene_of(task, seed)
                assert load_object(scene.objects[scene.target].type).called in scene.instruction
                assert other_instruction(task, seed) != scene.instruction
                standing = [*scene.objects, *scene.distractors]
                types = [thing.type for thing in scene.things]
                assert len(types) == len(set(types))
                for i, thing in enumerate(standing):
                    assert all(np.linalg.norm(thing.xy - other.xy) > thing.radius + other.radius + 0.01 for other in standing[:i])
                for thing in scene.objects:
                    assert np.linalg.norm(thing.xy - scene.source.xy) < scene.source.radius * 1.05
                    gap = 0.0 if load_object(scene.goal.type).in_metres else scene.goal.radius
                    assert np.linalg.norm(thing.xy - scene.goal.xy) > gap, (task.name, seed)


def test_both_arms_work_and_mirrored_scenes_are_on_their_side(training):
    for task in training:
        scenes = [scene_of(task, seed) for seed in range(40)]
        hands = {scene.hand for scene in scenes}
        assert hands == ({"right"} if task.name == "PlacematToPlate" else {"left", "right"})
        for scene in scenes:
            assert (scene.source.y > 0) == (scene.hand == "left")


def test_instructions_are_paraphrased(training):
    for task in training:
        assert len(set(task.instructions)) >= 4
        said = {scene_of(task, seed).instruction for seed in range(30)}
        assert len(said) >= 4, task.name


def test_wrong_names_are_named(tmp_path, monkeypatch):
    with pytest.raises(DialError, match=r"no object type 'spoon'; available: .*can"):
        load_object("spoon")
    with pytest.raises(DialError, match="no appearance or pool of appearances 'neon'; pools: training, unseen"):
        find_appearances(("neon",))
    for wrong, message in (
        ({"pattern": "brick"}, "appearances.*pattern.*no pattern 'brick'; available: plain, wood"),
        ({"pattern": "wood", "colour": 1}, "appearances.*colour"),
    ):
        given = {"name": "mine", "colours": [[0, 0, 0], [1, 1, 1]], "floor": [0, 0, 0]} | wrong
        with pytest.raises(DialError, match=message):
            validate(Task, load_task("PlateToPan").model_dump() | {"appearances": [given]}, source="mine.yaml")
    with pytest.raises(DialError, match="has no task 'PanToPot'; it has CuttingboardToBasket"):
        load_suite("in_distribution").task("PanToPot")
    for kind in ("tasks", "settings", "objects", "families", "appearances"):
        (tmp_path / kind).symlink_to(config_root() / kind)
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/bad.yaml").write_text("name: bad\ndescription: d\nenvironments: [{task: PlateToPan, replaced: {colour: red}}]\n")
    monkeypatch.setenv("DIAL_CONFIG_ROOT", str(tmp_path))
    with pytest.raises(DialError, match="suite bad, environment PlateToPan: unknown key 'colour'"):
        load_suite("bad")
