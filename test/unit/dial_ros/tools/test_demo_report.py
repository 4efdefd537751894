"""Figures of a trial are differences over that trial of counters that run on, in simulated time."""

import json

import pytest

from dial_core.checkpoint.location import DEFAULT_CHECKPOINT, checkpoint_folder
from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.files.atomic import write_json
from dial_ros.msg import System1Status, System2Status
from dial_ros.node.messages import to_time
from dial_ros.tools.demo import TASKS, arguments, limits_s
from dial_ros.tools.demo_report import figures, summary
from dial_ros.tools.trials import Trial

RUNNING, HOLDING = System1Status.STATE_RUNNING, System1Status.STATE_HOLDING


def system1(time_s, chunks, *, state=RUNNING, instruction_id="now", **values):
    status = System1Status(stamp=to_time(round(time_s * 1e9)), state=state, instruction_id=instruction_id)
    status.published_chunks = chunks
    for name, value in values.items():
        setattr(status, name, value)
    return status


def system2(time_s, foresights):
    return System2Status(stamp=to_time(round(time_s * 1e9)), instruction_id="now", published_foresights=foresights)


@pytest.fixture
def trial():
    return Trial(
        task="PlacematToPlate",
        seed=100_000,
        instruction="put the cup on the plate",
        instruction_id="now",
        started_s=0.5,
        now_s=4.5,
        wall_s=8.0,
        success=True,
    )


def test_rates_are_in_simulated_time_and_leave_out_what_came_before(trial):
    trial.system1 = [system1(0.4, 90, instruction_id="before"), system1(0.5, 90), system1(2.5, 100), system1(4.5, 110)]
    trial.system2 = [system2(0.5, 40), system2(4.5, 56)]
    result = figures(trial)
    assert (result.system1_rate_hz, result.system2_rate_hz) == (5.0, 4.0)
    assert (result.chunks, result.foresights) == (20, 16)
    assert (result.sim_s, result.real_time_factor) == (4.0, 0.5)


def test_ages_and_latencies_count_once_a_chunk(trial):
    trial.system1 = [
        system1(1.0, 5, foresight_age_of_chunk=9.0),
        system1(1.2, 6, foresight_age_of_chunk=0.1, camera_to_command_latency=0.05),
        system1(1.4, 6, foresight_age_of_chunk=0.1, camera_to_command_latency=0.05),
        system1(1.6, 7, foresight_age_of_chunk=0.3, camera_to_command_latency=0.15),
    ]
    result = figures(trial)
    assert (result.foresight_age_median_s, result.foresight_age_max_s) == (0.2, 0.3)
    assert result.camera_to_command_latency_median_s == 0.1


def test_refusals_are_counted_by_reason(trial):
    names = ["shape", "stale"]
    trial.system1 = [
        system1(1.0, 5, rejected_foresights=3, rejection_names=names, rejection_counts=[1, 2]),
        system1(2.0, 9, rejected_foresights=5, rejection_names=names, rejection_counts=[1, 4], rejected_chunks=1),
    ]
    result = figures(trial)
    assert (result.rejected_foresights, result.rejected_foresights_by_reason, result.rejected_chunks) == (2, {"stale": 2}, 1)


def test_a_hold_is_counted_when_it_begins(trial):
    trial.system1 = [system1(t, t, state=s) for t, s in enumerate([RUNNING, HOLDING, HOLDING, RUNNING, HOLDING])]
    assert figures(trial).holds == 2


def test_a_trial_without_reports_has_no_figures_but_is_no_error(trial):
    result = figures(trial)
    assert (result.chunks, result.system1_rate_hz, result.foresight_age_median_s) == (0, 0.0, None)


def test_the_summary_is_json_that_says_what_was_measured_where(trial, tmp_path):
    write_json(tmp_path / "new" / "summary.json", summary([figures(trial)], "abc", {"limit_s": 25.0}))
    read = json.loads((tmp_path / "new" / "summary.json").read_text())
    assert read["successes"] == 1
    assert read["trials"][0]["instruction"] == "put the cup on the plate"
    assert {"checkpoint", "versions", "hardware", "settings", "made_at"} <= set(read)


def test_results_go_to_the_working_folder_wherever_the_package_is_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = arguments("demo", trials=1, tasks=TASKS, out="out/demo").parse_args([])
    assert chosen.out.absolute() == tmp_path / "out/demo"


@pytest.mark.parametrize(("words", "limits"), [([], {"TrayToPot": 12.0, "CupToDrawerClose": 21.0}), (["--limit-s", "3"], 3.0)])
def test_a_trial_may_take_as_long_as_its_task_allows_or_as_was_asked_for(words, limits):
    tasks = ["TrayToPot", "CupToDrawerClose"]
    chosen = arguments("demo", 1, TASKS, "out").parse_args([*words, *(word for task in tasks for word in ("--task", task))])
    assert limits_s(chosen) == (limits if isinstance(limits, dict) else dict.fromkeys(tasks, limits))


def test_the_demo_plays_tasks_of_the_shipped_checkpoint_one_of_them_articulated():
    trained = TrainedOn.load(checkpoint_folder(DEFAULT_CHECKPOINT)).tasks
    assert set(TASKS) <= set(trained)
    assert any(task.endswith("Close") for task in TASKS)
