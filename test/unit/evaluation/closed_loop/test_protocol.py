import ast

import pytest

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import Protocol, _without_docstrings, code_of, sources_hash


def test_the_hash_changes_with_everything_in_the_protocol():
    first = Protocol()
    assert first.hash == Protocol().hash
    for change in ({"execute_steps": 4}, {"suite": "other"}, {"tasks": ("A",)}, {"seed": 100_001}, {"model_id": "x"}):
        assert Protocol(**change).hash != first.hash


def test_training_seeds_are_refused_but_for_a_replay():
    with pytest.raises(DialError, match="seed 5 is for training"):
        validate(Protocol, {"seed": 5}, source="dial eval")
    assert validate(Protocol, {"seed": 5, "policy": "replay"}, source="dial eval").seed == 5


def test_a_task_listed_twice_is_refused():
    with pytest.raises(DialError, match="twice: A"):
        validate(Protocol, {"tasks": ("A", "B", "A")}, source="dial eval")


def test_the_sources_have_one_hash_of_12_digits():
    assert len(sources_hash()) == 12
    assert sources_hash() == sources_hash()


def test_the_code_that_counts_is_what_an_episode_imports():
    code = code_of("dial_core.evaluation.closed_loop.rollout")
    for name in ("control.splice", "inference.policy_loop", "inference.simulated_loop", "model.system1", "sim.world", "sim.expert.expert"):
        assert f"dial_core.{name}" in code
    assert not [name for name in code if ".reports." in name or ".cli" in name or ".training." in name]


def test_an_edit_of_a_comment_or_a_docstring_changes_nothing_and_one_of_the_code_does(tmp_path):
    texts = ('def f():\n    """One."""\n    return 1  # this\n', 'def f():\n    """Two."""\n    return 1\n', "def f():\n    return 2\n")
    dumps = []
    for text in texts:
        (tmp_path / "f.py").write_text(text)
        dumps.append(ast.dump(_without_docstrings(tmp_path / "f.py")))
    assert dumps[0] == dumps[1] != dumps[2]
