"""pytest test/unit/core/test_config.py"""

import pytest

from dial_core.config import Config, load_config
from dial_core.errors import DialError


class StubRecipe(Config):
    steps: int
    learning_rate: float = 1e-4


def write(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_valid_file_loads_and_cannot_be_changed(tmp_path):
    recipe = load_config(StubRecipe, "training", write(tmp_path, "steps: 10\n"))
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
        load_config(StubRecipe, "training", path)
    assert str(path) in str(caught.value)
    assert f"'{key}'" in str(caught.value)


@pytest.mark.parametrize("text", ["steps: [1,\n", "- steps\n", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = write(tmp_path, text)
    with pytest.raises(DialError, match=str(path)):
        load_config(StubRecipe, "training", path)


def test_a_missing_file_and_a_missing_name_are_named(tmp_path):
    with pytest.raises(DialError, match=r"nowhere\.yaml does not exist"):
        load_config(StubRecipe, "training", tmp_path / "nowhere.yaml")
    with pytest.raises(DialError, match=r"available: .*gr1"):
        load_config(StubRecipe, "embodiments", "gr2")


def test_a_file_may_extend_another_mapping_by_mapping(tmp_path):
    class Inner(Config):
        a: int
        b: int

    class Outer(Config):
        inner: Inner
        names: list[str]

    (tmp_path / "base.yaml").write_text("inner: {a: 1, b: 2}\nnames: [x, y]\n")
    (tmp_path / "more.yaml").write_text("extends: base\ninner: {b: 3}\n")
    (tmp_path / "most.yaml").write_text("extends: more\nnames: [z]\n")
    loaded = load_config(Outer, "models", tmp_path / "most.yaml")
    assert (loaded.inner.a, loaded.inner.b, loaded.names) == (1, 3, ["z"])


def test_files_that_extend_each_other_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b\n")
    (tmp_path / "b.yaml").write_text("extends: a\n")
    with pytest.raises(DialError, match="circle: a -> b -> a"):
        load_config(Config, "models", tmp_path / "a.yaml")


def test_extending_what_does_not_exist_lists_what_there_is(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: nothing\n")
    with pytest.raises(DialError, match=r"no models configuration 'nothing'.*dial_tiny"):
        load_config(Config, "models", tmp_path / "a.yaml")


def test_single_values_are_changed_by_their_path(tmp_path):
    class Part(Config):
        steps: int
        rate: float = 1.0

    class Whole(Config):
        parts: list[Part]
        names: dict[str, float] = {}

    (tmp_path / "whole.yaml").write_text("parts: [&one {steps: 1}, *one]")
    read = load_config(Whole, "training", tmp_path / "whole.yaml", ["parts.1.steps=30", "parts.0.rate=2.5e-1", "names.robot=3"])
    assert [part.steps for part in read.parts] == [1, 30]
    assert read.parts[0].rate == 0.25
    assert read.names == {"robot": 3.0}
    for wrong, message in {"parts.7.steps=1": "changes nothing", "parts": "expected KEY=VALUE", "parts.0.stepz=1": "stepz"}.items():
        with pytest.raises(DialError, match=message):
            load_config(Whole, "training", tmp_path / "whole.yaml", [wrong])


@pytest.mark.parametrize("text", ["steps: 3  # f\xfcr\n".encode("latin-1"), b"made: 2026-02-31\n"])
def test_a_file_of_another_encoding_or_with_an_impossible_date_is_named(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text)
    with pytest.raises(DialError, match=r"recipe\.yaml cannot be read, it is not valid YAML"):
        load_config(StubRecipe, "recipes", str(path))
