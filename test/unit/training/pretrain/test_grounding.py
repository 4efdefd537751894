import numpy as np
import pytest

from dial_core.config import load_config
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.sim.catalogue import load_object
from dial_core.sim.suite import load_suite, suite_names
from dial_core.training.pretrain.grounding import (
    instruction_form,
    location,
    object_question,
    question,
    shift_view,
    vocabularies_of,
    vocabulary_of,
)
from dial_core.training.pretrain.pretraining import PretrainRecipe

PLACES = {"can": (10.0, 20.0), "cup": (50.0, 40.0), "plate": (30.0, 70.0), "palm": (80.0, 80.0), "placemat": (40.0, 30.0)}


@pytest.fixture
def words():
    return vocabularies_of({"in_distribution": 1.0}, list(PLACES))["PlacematToPlate"]


def test_every_instruction_and_every_noun_of_every_suite_is_in_the_vocabulary():
    prompter = Prompter(tiny_tokenizer(), 36)
    recipe = load_config(PretrainRecipe, "training", "dial_tiny_pretrain")
    for suite in suite_names():
        for task in load_suite(suite).tasks:
            words = vocabulary_of(task, {name: load_object(name).called for name in task.object_types}, recipe.wordings)
            said = [phrase.format(object="", source="", target="", place="in") for phrase in words.phrases]
            assert not prompter.unknown_words(" ".join([*said, *words.nouns.values()])), (suite, task.name)


def test_paraphrases_are_sentences_that_no_training_has():
    recipe = load_config(PretrainRecipe, "training", "dial_tiny_pretrain")
    trained = {phrase for task in load_suite("in_distribution").tasks for phrase in task.instructions} | set(recipe.wordings)
    suite = load_suite("unseen_instruction")
    assert len(suite.tasks) == 24
    assert not trained & {phrase for task in suite.tasks for phrase in task.instructions}


def test_of_two_plates_neither_is_asked_for_by_name(words):
    places = {"plate": (10.0, 10.0), "dinner_plate": (50.0, 50.0), "can": (30.0, 30.0)}
    words = vocabularies_of({"in_distribution": 1.0}, list(places))["PlateToPlate"]
    assert list(words.unambiguous(places)) == ["can"]
    asked = {question(places, 96, np.random.default_rng(seed), words)[0] for seed in range(50)}
    assert not {prompt for prompt in asked if prompt.startswith(("where", "is the")) and "plate" in prompt}


def test_a_fixture_that_is_open_is_answered_with_its_handle():
    places = {"drawer": (40.0, 20.0), "handle": (40.0, 60.0), "can": (20.0, 30.0)}
    words = vocabularies_of({"in_distribution": 1.0}, list(places))["CanToDrawerClose"]
    _, answer = instruction_form(places, 96, np.random.default_rng(0), words)
    assert answer == "can <loc_20> <loc_30> drawer <loc_40> <loc_20> handle <loc_40> <loc_60>"


def test_a_bin_is_a_pixel_of_the_small_image():
    assert location(17.9, 58.0, size_px=96) == "<loc_17> <loc_58>"
    assert location(223.0, 0.0, size_px=224) == "<loc_95> <loc_0>"


def test_every_question_is_in_the_vocabulary(words):
    rng, prompter = np.random.default_rng(0), Prompter(tiny_tokenizer(), 36)
    for _ in range(200):
        prompt, answer = question(PLACES, 96, rng, words)
        assert not prompter.unknown_words(f"{prompt} {answer}")


def test_an_instruction_is_answered_with_the_named_object_the_target_and_the_hand_first(words):
    prompt, answer = instruction_form(PLACES, 96, np.random.default_rng(1), words)
    named = next(name for name in ("can", "cup") if name in prompt.split())
    x, y = (int(value) for value in PLACES[named])
    assert answer.startswith(f"{named} <loc_{x}> <loc_{y}> plate <loc_30> <loc_70> palm <loc_80> <loc_80> ")


def test_reading_asks_about_objects_only(words):
    rng = np.random.default_rng(0)
    answers = [object_question(PLACES, 96, rng, words)[1].split() for _ in range(50)]
    assert {answer[0] for answer in answers} == {"can", "cup"}
    assert {tuple(answer[3::3]) for answer in answers} == {(), ("plate", "palm")}


def test_places_move_with_the_view():
    image = np.zeros((96, 96, 3), np.uint8)
    image[20, 10] = 255
    for seed in range(5):
        moved, places = shift_view(image, {"can": (10.0, 20.0)}, 4, np.random.default_rng(seed))
        x, y = places["can"]
        assert moved[int(y), int(x)].tolist() == [255, 255, 255]


def test_what_moves_out_of_view_is_dropped():
    image = np.zeros((96, 96, 3), np.uint8)
    left = [shift_view(image, {"can": (1.0, 1.0)}, 4, np.random.default_rng(seed))[1] for seed in range(20)]
    assert {} in left
