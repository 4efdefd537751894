from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from dial_core.errors import DialError
from dial_ros.tools import record_expert


def test_no_demonstration_shows_a_scene_of_the_evaluation(capsys, tmp_path):
    assert record_expert.main(["--seed", "100000", "--out", str(tmp_path / "out")]) == 1
    assert "seed 100000 is reserved for evaluation" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_recording_ends_before_the_scenes_of_the_evaluation(monkeypatch, tmp_path):
    monkeypatch.setattr(record_expert, "running", lambda *_: nullcontext(SimpleNamespace(check_alive=None)))
    monkeypatch.setattr(record_expert, "Demonstrator", lambda *_: None)
    monkeypatch.setattr(record_expert, "finished", lambda bag: "failure")
    with pytest.raises(DialError, match="seed 100000 is reserved"):
        record_expert.record(tmp_path, "PlacematToPlate", 1, 99_999, 1.0)
