import json

import pytest

from dial_core.checkpoint.location import checkpoint_folder
from dial_core.checkpoint.trained_on import MOST, Roles, TrainedOn, means_stop, roles_of, warning_of, wording_of
from dial_core.evaluation.closed_loop.suites import suite_tasks
from dial_core.sim.scene import scene_of
from dial_core.sim.task import load_task


def test_words_that_no_training_instruction_has_are_named_once_and_in_order():
    trained = TrainedOn.of(["put the can on the plate", "Take the cup off the placemat."])
    assert trained.untrained_words("Open the drawer, then put the CUP in the drawer!") == ["open", "drawer", "then", "in"]
    assert trained.untrained_words("take the can off the plate") == []


def test_an_unknown_training_warns_of_nothing(tmp_path):
    assert TrainedOn.load(tmp_path).untrained_words("open the drawer") == []
    (tmp_path / "trained_on.json").write_text("{not json")
    assert TrainedOn.load(tmp_path) == TrainedOn()


def test_it_survives_the_disk_and_keeps_every_word_of_very_many(tmp_path):
    many = TrainedOn.of([f"put thing{i} away" for i in range(MOST + 50)], ["Tidying", "", "Tidying"])
    assert many.tasks == ("Tidying",)
    many.save(tmp_path)
    assert TrainedOn.load(tmp_path) == many
    assert many.untrained_words(f"put thing{MOST + 49} away") == []


STOPS = ["stop", "Halt!", " wait. ", "don't move", "Stand  still", "please stop", "stop now", "stop moving", "stop it", "STOP the robot"]
STOPS += ["wait a moment", "halt please", "cancel", "abort", "emergency stop", "ok robot, stop!", "no", "stop the music"]


@pytest.mark.parametrize("text", STOPS)
def test_what_means_stop_is_no_instruction(text):
    assert means_stop(text)


@pytest.mark.parametrize(
    "text", ["put the can on the plate", "please put the cup down", "move the can, do not stop", "", "now pick the can"]
)
def test_what_asks_for_something_is_one(text):
    assert not means_stop(text)


def test_one_sentence_says_what_was_never_seen():
    trained = TrainedOn.of(["put the can on the plate"])
    warning = warning_of(trained, ["zorgle"], "open the zorgle")
    assert warning == "not in the model's vocabulary: zorgle; in no training instruction: open; the robot may do something else"
    assert warning_of(trained, [], "put the can on the plate") == ""


def test_the_shipped_checkpoint_knows_its_tasks_instructions():
    trained = TrainedOn.load(checkpoint_folder("dial_tiny"))
    for task in map(load_task, suite_tasks("in_distribution")):
        assert not [seed for seed in range(50) if trained.untrained_words(scene_of(task, seed).instruction)], task.name
    assert trained.untrained_words("open the fridge") == ["open", "fridge"]


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("put the can on the plate", Roles("can", "", "plate")),
        ("take the cutting board off the placemat and set it on the dinner plate", Roles("cutting board", "placemat", "dinner plate")),
        ("pick the can from the placemat and place it in the drawer, then close the drawer", Roles("can", "placemat", "drawer")),
        ("open the drawer", Roles("drawer")),
        ("go home", Roles()),
    ],
)
def test_object_source_and_target_are_read_from_the_grammar(text, roles):
    assert roles_of(text) == roles


@pytest.mark.parametrize("task", ["PlacematToPlate", "CanToDrawerClose", "TrayToTieredshelf", "PotatoToMicrowaveClose"])
def test_the_roles_of_our_own_tasks_are_those_of_their_scenes(task):
    task = load_task(task)
    for seed in range(12):
        roles = roles_of(scene_of(task, seed).instruction)
        names = [type_.replace("_", " ") for type_ in (*task.objects, task.source, task.target)]
        assert all((roles.object, roles.target)), scene_of(task, seed).instruction
        assert not {"the", "it", "close", "shut"} & set(f"{roles.object} {roles.target}".split()), names


def test_a_wording_keeps_all_but_the_nouns():
    assert (
        wording_of("Take the can off the mat and set it on the plate.") == "take the {object} off the {source} and set it on the {target}"
    )


TRAINED = TrainedOn.of(["put the can on the plate", "put the cup in the bowl", "take the cup off the tray and put it in the bowl"])


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("put the plate on the can", ["moving the plate", "placing at the can"]),
        ("take the cup off the plate and put it in the bowl", ["taking from the plate"]),
        ("put the can in the bowl", ["the can to the bowl"]),
        ("put the can on the plate", []),
        ("put the zorgle on the plate", []),  # its words are named instead
    ],
)
def test_what_was_never_asked_for_is_named_although_every_word_is_known(text, roles):
    assert TRAINED.untrained_roles(text) == roles
    assert all(part in warning_of(TRAINED, [], text) for part in roles)


def test_a_task_that_was_never_trained_is_named_with_those_that_were():
    trained = TrainedOn.of(["put the can on the plate"], ["PlacematToPlate"])
    assert trained.task_warning("PlacematToPlate", "put the can on the plate") == ""
    assert "not trained on CanToDrawerClose, only on PlacematToPlate" in trained.task_warning("CanToDrawerClose")
    assert TrainedOn().task_warning("CanToDrawerClose", "open the drawer") == ""
    assert "drawer" in TRAINED.task_warning("CanToDrawerClose", "open the drawer")


def test_the_shipped_checkpoints_card_has_tasks_objects_sources_targets_and_wordings():
    card = TrainedOn.load(checkpoint_folder("dial_tiny")).card()
    stored = json.loads((checkpoint_folder("dial_tiny") / "trained_on.json").read_text())
    assert {key: tuple(value) for key, value in stored.items()} == card
    assert {"PlacematToPlate", "CanToDrawerClose"} <= set(card["tasks"])
    assert {"can", "cup", "bottle", "milk"} <= set(card["objects"])
    assert {"plate", "drawer"} <= set(card["targets"])
    assert "placemat" in card["sources"]
    assert "put the {object} on the {target}" in card["wordings"]
