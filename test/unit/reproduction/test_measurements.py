"""pytest test/unit/reproduction/test_measurements.py"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dial_core.config import validate
from dial_core.datasets.video import write_video
from dial_core.errors import DialError
from dial_core.evaluation.reports.compare import compare, load_summary
from dial_core.reproduction.done_marks import DoneMarks
from dial_core.reproduction.measurements import ORIGIN, Measurements, readable_json
from dial_core.reproduction.paper_page import write_page
from dial_core.reproduction.pipeline import Pipeline
from dial_core.reproduction.plan import ReproductionPlan

from .recorded_results import TASKS, summary

EVALUATED = "eval/dial/seen"


def evaluate(pipeline: Pipeline, method: str, *successes: bool, wall_s: float = 60.0) -> None:
    """Leaves the result of a method, with the marks of all steps that it needs."""
    marks = DoneMarks(pipeline.out)
    for step in pipeline.chosen([f"eval/{method}/seen"]):
        if not marks.done(step):
            marks.begin(step, wall_s)
            marks.finish(step, wall_s)
    folder = pipeline.result(method, "seen")
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(summary(*successes)))


@pytest.fixture
def page(pipeline, tmp_path):
    """A page whose first row an earlier run in another folder gave."""
    evaluate(pipeline, "dial", *[True] * 7, False)
    write_page(pipeline, "small", tmp_path / "paper.md")
    return tmp_path / "paper.md"


@pytest.fixture
def elsewhere(plan, tmp_path) -> Pipeline:
    """The same plan on another machine."""
    return Pipeline(plan, tmp_path / "elsewhere")


def test_an_empty_folder_writes_the_page_that_was_published(page, elsewhere):
    published = page.read_text()
    assert "| DIAL | 87.5 (7/8)" in published
    assert write_page(elsewhere, "small", page) == published


def test_a_new_row_stands_beside_a_published_one_paired_and_told_apart(page, elsewhere):
    evaluate(elsewhere, "flare", *[True] * 8, wall_s=7200.0)
    text = write_page(elsewhere, "small", page)
    assert "| DIAL | 87.5 (7/8)" in text
    assert "| + FLARE | 100.0 (8/8) | 67.6 to 100.0 | - | +12.5 |" in text
    assert "From an earlier run of this plan, with a backbone and data of its own by the same settings: DIAL." in text
    assert [line.rsplit("|", 3)[1].strip() for line in text.splitlines() if line.startswith("| pretrain |")] == ["2.0 h", "1 min"]
    assert write_page(elsewhere.in_folder(page.parent / "third"), "small", page).count("100.0 (8/8)") == text.count("100.0 (8/8)")


def test_the_folders_own_result_replaces_the_published_one(page, elsewhere):
    evaluate(elsewhere, "dial", *[False] * 8)
    assert "| DIAL | 0.0 (0/8)" in write_page(elsewhere, "small", page)
    assert "| DIAL | 0.0 (0/8)" in write_page(elsewhere.in_folder(page.parent / "third"), "small", page)


@pytest.mark.parametrize("changes", [{"methods": {"dial": {"recipe": "pocket"}}}, {"scenes": {"seen": {"episodes": 3}}}])
def test_results_of_other_settings_are_named_and_neither_shown_nor_deleted(page, values, tmp_path, changes):
    for section, entries in changes.items():
        for name, change in entries.items():
            values[section][name] |= change
    changed = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path / "elsewhere")
    text = write_page(changed, "small", page)
    assert "| DIAL |" not in text
    assert f"Published with other settings of the plan, and not shown: {EVALUATED}." in text
    assert (page.with_suffix("") / f"results/{EVALUATED}.json").is_file()


def test_a_page_in_the_plans_own_folder_publishes_nothing(pipeline):
    evaluate(pipeline, "dial", *[True] * 8)
    assert "| DIAL | 100.0 (8/8)" in write_page(pipeline, "small", pipeline.out / "paper.md")
    assert not (pipeline.out / "paper/results").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"reproduction": {"marks": {"a": {}}}}'])
def test_a_broken_published_result_is_named(page, elsewhere, content):
    file = page.with_suffix("") / f"results/{EVALUATED}.json"
    file.write_text(content)
    with pytest.raises(DialError, match=f"{file} is no published result: .*; restore it, or delete it"):
        write_page(elsewhere, "small", page)


def test_a_published_result_can_be_compared_with_an_own_one(page):
    published = load_summary(page.with_suffix("") / f"results/{EVALUATED}.json")
    assert compare(published, summary(*[True] * 8))["all"]["only_second"] == 1
    assert {key: value for key, value in published.items() if key != ORIGIN} == summary(*[True] * 7, False)


def test_published_results_keep_the_sheet_and_the_film_that_were_drawn_of_them(pipeline, elsewhere, tmp_path, fake_episode):
    evaluate(pipeline, "dial", *[True] * 8)
    for task in TASKS:
        write_video(pipeline.result("dial", "seen") / f"videos/{task}-100000.mp4", fake_episode(0).frames[:3], 20.0)
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert "Seen: 2 of these 2, 100.0 (8/8) of all scenes." in text
    sheet = (tmp_path / "paper/episodes.png").read_bytes()
    assert write_page(elsewhere, "small", tmp_path / "paper.md") == text
    assert (tmp_path / "paper/episodes.png").read_bytes() == sheet


def test_marks_of_unfinished_steps_are_not_published(pipeline, tmp_path):
    evaluate(pipeline, "dial", *[True] * 8)
    later = pipeline.steps["train/flare"]
    DoneMarks(pipeline.out).begin(later, 60.0)
    assert Measurements(pipeline).marks(later.name) == []
    write_page(pipeline, "small", tmp_path / "paper.md")
    marks = json.loads((tmp_path / f"paper/results/{EVALUATED}.json").read_text())[ORIGIN]["marks"]
    assert list(marks) == [step.name for step in pipeline.chosen([EVALUATED])]


def _nested(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)


@given(st.recursive(VALUES, _nested, max_leaves=12))
def test_readable_json_is_the_same_json(values: Any):
    assert json.loads(readable_json(values)) == values
