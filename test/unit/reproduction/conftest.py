"""A small plan: two methods on one dataset, one comparison, one curve, one set of probes."""

import copy

import pytest

from dial_core.config import validate
from dial_core.reproduction import done_marks
from dial_core.reproduction.pipeline import Pipeline
from dial_core.reproduction.plan import ReproductionPlan

VALUES = {
    "title": "A small plan",
    "demonstrations": {"few": {"tasks": ["PlacematToPlate"], "episodes": 2}, "unused": {"episodes": 1}},
    "methods": {
        "dial": {"called": "DIAL", "data": {"robot": "few"}},
        "flare": {"called": "+ FLARE", "model": "dial_tiny_flare", "data": {"robot": "few"}},
        "unshown": {"data": {"robot": "unused"}},
    },
    "scenes": {"seen": {"tasks": ["PlacematToPlate", "TrayToPot"], "episodes": 4}},
    "sections": [
        {"kind": "comparison", "title": "The comparison", "methods": ["dial", "flare"], "reference": "dial", "scenes": ["seen"]},
        {"kind": "curve", "title": "Data", "axis": "demonstrations", "scenes": "seen", "lines": {"DIAL": {2: "dial", 20: "flare"}}},
        {"kind": "probes", "title": "Probes", "method": "dial", "scenes": "seen"},
    ],
    "film": "dial",
    "costs": {
        "machine": "a stopwatch",
        "view": 0.1,
        "seeing_sample": 0.1,
        "reading_sample": 0.1,
        "query_sample": 0.1,
        "encoder_sample": 0.1,
        "demonstration": 10.0,
        "image_tokens": 1.0,
        "foresight": 0.01,
        "chunk": 0.01,
        "episode": 5.0,
    },
}


@pytest.fixture(autouse=True)
def one_code(monkeypatch) -> None:
    """Marks name one code, without asking git at every step."""
    monkeypatch.setattr(done_marks, "running_code", lambda: "commit 0123456789ab")


@pytest.fixture
def values() -> dict:
    """The plan as it would stand in YAML, to be changed."""
    return copy.deepcopy(VALUES)


@pytest.fixture
def plan(values) -> ReproductionPlan:
    return validate(ReproductionPlan, values, source="test")


@pytest.fixture
def pipeline(plan, tmp_path) -> Pipeline:
    return Pipeline(plan, tmp_path / "out")
