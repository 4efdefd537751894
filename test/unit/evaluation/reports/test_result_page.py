import json
from dataclasses import replace

import pytest

from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult
from dial_core.evaluation.closed_loop.suites import object_count
from dial_core.evaluation.reports.result_page import markdown, named_alone, summarise, table, write_report, write_table

RESULT = EpisodeResult("PlacematToPlate", 100_000, success=True, steps=120, objects=2, named_moved=True, foresight_age_s=0.2)
RESULTS = [
    RESULT,
    replace(RESULT, seed=100_001, success=False, named_moved=False, other_moved=True, foresight_age_s=0.4),
    replace(RESULT, seed=100_002, objects=1, steps=140, foresight_age_s=None),
]
TIMING = ("strategy ensemble", "system2_period_steps 5", "system1_delay_s 0.07", "flow_steps 4", "foresight own", "runtime eager")
FILES = {"result.json", "result.md", "success.png"}


def test_a_report_counts_by_number_of_objects_and_names_its_protocol(tmp_path):
    summary = summarise(Protocol(episodes=3), RESULTS[::-1], wall_s=1.0)
    assert [episode["seed"] for episode in summary["episodes"]] == [100_000, 100_001, 100_002]
    assert summary["success"]["successes"] == 2
    assert summary["two_objects"]["other_moved"] == {"successes": 1, "trials": 2, "rate": 0.5, "interval": [0.0945, 0.9055]}
    assert summary["foresight_age_s"] == 0.3
    text = write_report(tmp_path, summary, "in_distribution")
    assert "| PlacematToPlate | 66.7 (2/3) | 20.8 to 93.8 | 130 | 0 |" in text
    assert Protocol(episodes=3).hash in text
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert json.loads((tmp_path / "result.json").read_text()) == summary


def test_bringing_every_object_is_distinguished_from_bringing_the_named_one(tmp_path):
    both = [replace(RESULT, seed=100_000 + place, other_moved=place < 3) for place in range(4)]
    summary = summarise(Protocol(episodes=4), both, 1.0)
    assert summary["two_objects"]["success"]["rate"] == 1.0
    assert summary["two_objects"]["named_alone"] == {"successes": 1, "trials": 4, "rate": 0.25, "interval": [0.0456, 0.6994]}
    text = write_report(tmp_path, summary, "two_objects")
    assert "another one in 75.0 (3/4), the named one alone in 25.0 (1/4), 95 % 4.6 to 69.9." in text
    before = json.loads(json.dumps(summary))  # a result of an earlier version
    del before["two_objects"]["named_alone"]
    assert named_alone(before) == summary["two_objects"]["named_alone"]
    assert markdown(before, "two_objects") == text
    assert "| 100.0 (4/4) | 75.0 (3/4) | 25.0 (1/4) |" in table({"every object": before}, "two_objects")


def test_a_report_names_the_libraries_that_its_episodes_ran_with_where_they_are_known(tmp_path):
    protocol, ran_with = Protocol(episodes=3), {"mujoco": "4.0.0", "torch": "2.13.0 and 2.14.0"}
    summary = summarise(protocol, RESULTS, 1.0, ran_with)
    assert summary["versions"] == ran_with
    code = f"sources {summary['sources']}"
    assert f"{code}; mujoco 4.0.0, torch 2.13.0 and 2.14.0.\n" in write_report(tmp_path, summary, "known")
    before = {key: value for key, value in summary.items() if key != "versions"}  # a result of an earlier version
    assert f"{code}.\n" in write_report(tmp_path, before, "unknown")
    assert summarise(protocol, RESULTS, 1.0)["versions"].keys() >= {"mujoco", "torch"}


def test_a_report_of_many_tasks_has_a_row_for_each_and_one_for_all(tmp_path):
    tasks = tuple(f"Task{index}" for index in range(12))
    results = [replace(RESULT, task=task, success=index % 2 == 0) for index, task in enumerate(tasks)]
    text = write_report(tmp_path, summarise(Protocol(tasks=tasks, episodes=1), results, 1.0), "many")
    assert "| Task0 | 100.0 (1/1) |" in text
    assert "| **all** | 50.0 (6/12) |" in text
    assert "seeds, whose scenes share" not in text  # one seed says nothing of others


def test_a_report_of_many_tasks_also_has_the_interval_over_seeds_which_tasks_share(tmp_path):
    results = [replace(RESULT, task=task, seed=100_000 + seed, success=seed % 2 == 0) for task in ("A", "B") for seed in range(20)]
    text = write_report(tmp_path, summarise(Protocol(tasks=("A", "B"), episodes=20), results, 1.0), "many")
    assert "| **all** | 50.0 (20/40) | 35.2 to 64.8 |" in text
    assert "All over 20 seeds, whose scenes share places and objects over tasks: 95 % 28.1 to 71.9 (bootstrap)." in text
    assert (tmp_path / "success.png").stat().st_size > 1000


def test_a_rate_that_is_the_same_in_every_seed_has_the_interval_of_as_many_scenes(tmp_path):
    results = [replace(RESULT, task=task, seed=100_000 + seed) for task in ("A", "B") for seed in range(12)]
    text = write_report(tmp_path, summarise(Protocol(tasks=("A", "B"), episodes=12), results, 1.0), "all alike")
    assert "over tasks: 95 % 75.8 to 100.0 (Wilson of 12 seeds, all alike)." in text


def test_a_report_has_success_by_hand_where_both_have_scenes(tmp_path):
    right = [replace(result, hand="right") for result in RESULTS]
    both = [*right, replace(RESULT, seed=100_003, hand="left", success=False)]
    assert "By the hand that" not in write_report(tmp_path, summarise(Protocol(episodes=3), right, 1.0), "one hand")
    shown = "By the hand that does the task: left 0.0 (0/1), 95 % 0.0 to 79.3, right 66.7 (2/3), 95 % 20.8 to 93.8"
    assert f"{shown}." in write_report(tmp_path, summarise(Protocol(episodes=4), both, 1.0), "both hands")
    crashed = [*both, EpisodeResult("PlacematToPlate", 100_004, error="fell over")]
    shown = shown.replace("right 66.7 (2/3), 95 % 20.8 to 93.8", "right 50.0 (2/4), 95 % 15.0 to 85.0")  # the hand that its seed gives
    assert f"{shown}." in write_report(tmp_path, summarise(Protocol(episodes=5), crashed, 1.0), "a crash")


def test_success_by_hand_over_many_tasks_has_an_interval_over_seeds():
    def text_of(seeds: int) -> str:
        results = [
            replace(RESULT, task=task, seed=100_000 + seed, hand=("left", "right")[seed % 2], success=seed % 4 < 2)
            for task in ("A", "B")
            for seed in range(seeds)
        ]
        return markdown(summarise(Protocol(tasks=("A", "B"), episodes=seeds), results, 1.0), "many")

    assert "left 50.0 (20/40), 95 % over seeds 28.1 to 71.9, right 50.0" in text_of(40)
    assert "left 50.0 (4/8), right 50.0 (4/8)." in text_of(8)


def test_a_crashed_scene_counts_among_those_with_as_many_objects_as_its_seed_gives():
    protocol = Protocol(episodes=20)
    of_two = [object_count(protocol.suite, Case("PlacematToPlate", seed)) > 1 for seed in range(100_000, 100_020)]
    results = [EpisodeResult("PlacematToPlate", 100_000 + place, error="fell over") for place in range(20)]
    summary = summarise(protocol, results, 1.0)
    assert 0 < sum(of_two) < 20
    assert summary["two_objects"]["named_moved"]["trials"] == summary["two_objects"]["success"]["trials"] == sum(of_two)
    assert summary["one_object"]["trials"] == 20 - sum(of_two)
    assert [episode["objects"] > 1 for episode in summary["episodes"]] == of_two


@pytest.mark.parametrize(("policy", "shown"), [("expert", []), ("peer", ["execute_steps 3"]), ("checkpoint", ["execute_steps 3", *TIMING])])
def test_a_report_names_the_timing_that_its_policy_has(policy, shown):
    text = markdown(summarise(Protocol(policy=policy, episodes=3), RESULTS, 1.0), "timing")
    assert [said for said in ("execute_steps 3", *TIMING) if f", {said}" in text] == shown
    assert "hold_steps 10, execution" in text


def test_a_table_says_what_its_rows_share_and_what_they_do_not(tmp_path):
    summaries = {f"every {steps}": summarise(Protocol(episodes=3, execute_steps=steps), RESULTS, 1.0) for steps in (3, 8)}
    text = write_table(tmp_path, summaries, "chunks")
    assert "| every 8 | 66.7 (2/3) |" in text
    assert "system2_period_steps 5" in text
    assert "execute_steps" not in text
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert table(summaries, "chunks") == text
