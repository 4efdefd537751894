import pytest

from dial_core.checkpoint.location import checkpoint_folder
from dial_core.checkpoint.trained_on import MOST, TrainedOn, means_stop, warning_of
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
    many = TrainedOn.of([f"put thing{i} away" for i in range(MOST + 50)])
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
    said = warning_of(trained, ["zorgle"], "open the zorgle")
    assert said == "not in the model's vocabulary: zorgle; in no training instruction: open; the robot may do something else"
    assert warning_of(trained, [], "put the can on the plate") == ""


def test_the_shipped_checkpoint_knows_its_tasks_instructions():
    trained = TrainedOn.load(checkpoint_folder("dial_tiny"))
    task = load_task("PlacematToPlate")
    assert not [seed for seed in range(50) if trained.untrained_words(scene_of(task, seed).instruction)]
    assert trained.untrained_words("open the drawer") == ["open", "drawer"]
