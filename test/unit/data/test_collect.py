import json

import pytest

from dial_core.data.collect import collect
from dial_core.data.fingerprint import require_same
from dial_core.data.lerobot import LeRobotDataset
from dial_core.errors import DialError


def test_a_collected_episode_holds_what_the_expert_did_and_a_second_call_refuses(tmp_path):
    out = tmp_path / "dataset"
    tally = collect("PlacematToPlate", episodes=1, seed=0, disturbed=0.0, out=out, workers=0)
    dataset = LeRobotDataset(out)
    span = dataset.episodes[0]
    assert span.seed in tally.successes
    assert dataset.frames(span).shape == (span.length, 96, 96, 3)
    assert "plate" in span.instruction
    assert span.facts["objects"][span.facts["target"]] in span.instruction
    assert json.loads((out / "meta/collection.json").read_text())["episodes"] == 1
    assert not out.with_name("dataset.attempts").exists()
    with pytest.raises(DialError, match="exists already"):
        collect("PlacematToPlate", episodes=1, seed=0, disturbed=0.0, out=out, workers=0)


def test_attempts_of_other_settings_are_not_gone_on_with(tmp_path):
    require_same(tmp_path / "dataset.attempts", {"task": "PlacematToPlate", "seed": 0, "disturbed": 0.5})
    with pytest.raises(DialError, match=r"disturbed was 0\.5, is now 0\.0; seed was 0, is now 7"):
        collect("PlacematToPlate", episodes=1, seed=7, disturbed=0.0, out=tmp_path / "dataset", workers=0)


def test_seeds_of_the_evaluation_are_never_collected(tmp_path):
    with pytest.raises(DialError, match="kept for evaluation"):
        collect("PlacematToPlate", episodes=1, seed=100_000, disturbed=0.0, out=tmp_path / "dataset", workers=0)
