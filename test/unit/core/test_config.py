"""pytest test/unit/core/test_config.py"""

import pytest

from dial_core.config import Config, load_config
from dial_core.errors import DialError


class Recipe(Config):
    steps: int
    learning_rate: float = 1e-4


def write(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_valid_file_loads_and_cannot_be_changed(tmp_path):
    recipe = load_config(Recipe, "training", write(tmp_path, "steps: 10\n"))
    assert recipe.steps == 10
    with pytest.raises(ValueError):
        recipe.steps = 11


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("steps: 10\nlearning_rat: 1\n", "learning_rat"),
        ("steps: many\n", "steps"),
        ("learning_rate: 1\n", "steps"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_file(tmp_path, text, key):
    path = write(tmp_path, text)
    with pytest.raises(DialError) as caught:
        load_config(Recipe, "training", path)
    assert str(path) in str(caught.value)
    assert f"'{key}'" in str(caught.value)


@pytest.mark.parametrize("text", ["steps: [1,\n", "- steps\n", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = write(tmp_path, text)
    with pytest.raises(DialError, match=str(path)):
        load_config(Recipe, "training", path)


def test_a_missing_file_and_a_missing_name_are_named(tmp_path):
    with pytest.raises(DialError, match=r"nowhere\.yaml does not exist"):
        load_config(Recipe, "training", tmp_path / "nowhere.yaml")
    with pytest.raises(DialError, match=r"available: .*gr1"):
        load_config(Recipe, "embodiments", "gr2")
