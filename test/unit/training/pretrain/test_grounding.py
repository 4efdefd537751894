import numpy as np
import pytest

from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.sim.task import load_task
from dial_core.training.pretrain.grounding import instruction_form, location, object_question, question, shift_view, vocabulary_of

PLACES = {"can": (10.0, 20.0), "cup": (50.0, 40.0), "plate": (30.0, 70.0), "palm": (80.0, 80.0), "placemat": (40.0, 30.0)}


@pytest.fixture
def words():
    return vocabulary_of(load_task("PlacematToPlate"))


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
