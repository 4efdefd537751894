"""The page of results: counts, the slowest times, and failures in words."""

import numpy as np

from dial_ros.faults.checks import reported_after_s
from dial_ros.faults.limits import LimitUse
from dial_ros.faults.outcome import Outcome, load_outcomes, save_outcomes
from dial_ros.faults.report import page
from dial_ros.faults.soak import Soak, load_soaks, save_soaks
from dial_ros.msg import System1Status
from dial_ros.node.messages import to_time


def outcome(name, reported_s, held=True, busy=0):
    made = Outcome(name, reported_after_s=reported_s, use=LimitUse(0.0, 0.5, 1.0, 100), busy_processes=busy, load_average=1.5)
    made.check_time("reports", reported_s, 0.5)
    made.check("limits kept", held, "acceleration 3.000")
    return made


def test_repeats_make_one_row_with_the_slowest_time_and_the_count_of_passes():
    text = page([outcome("camera frozen", 0.2), outcome("camera frozen", 0.3, held=False)], [], "today", "machine")
    assert "| camera frozen | 0 (1.5) | 1/2 | 0.30 | - |" in text
    assert "1 of 2 runs passed" in text
    assert "- camera frozen: limits kept (acceleration 3.000)" in text


def test_holds_beside_a_fault_are_listed_with_their_reasons():
    held = outcome("camera frozen", 0.2, busy=10)
    held.held_for = ["camera 0.55 s old (limit 0.50 s)"]
    text = page([held, outcome("camera dropped", 0.2)], [], "today", "machine")
    assert "- camera frozen: camera 0.55 s old (limit 0.50 s) [10 busy processes]" in text.split("## Held meanwhile")[1]
    assert "Held meanwhile" not in page([outcome("camera dropped", 0.2)], [], "today", "machine")


def test_each_load_has_a_row_of_its_own():
    text = page([outcome("camera frozen", 0.3, busy=10), outcome("camera frozen", 0.2)], [], "today", "machine")
    assert text.index("| camera frozen | 0 (1.5) | 1/1 | 0.20 |") < text.index("| camera frozen | 10 (1.5) | 1/1 | 0.30 |")


def test_what_was_not_played_is_listed():
    text = page([outcome("camera frozen", 0.3, busy=10)], [], "today", "machine")
    missing = text.split("## Not played")[1]
    assert "camera dropped" in missing
    assert "camera frozen" not in missing
    assert "continuous running" in missing


def test_outcomes_are_the_same_after_saving_and_loading(tmp_path):
    outcomes = [outcome("camera frozen", 0.2), Outcome("never played")]
    save_outcomes(tmp_path / "outcomes.jsonl", outcomes)
    assert load_outcomes(tmp_path / "outcomes.jsonl") == outcomes
    assert load_outcomes(tmp_path / "none.jsonl") == []


def test_a_time_that_never_came_fails():
    made = Outcome("x")
    made.check_time("reports", None, 0.5)
    assert not made.passed


def test_memory_growth_is_the_slope_after_the_warm_up():
    minutes = np.linspace(0, 30, 61)
    steady = [(m, 500.0 if m > 3 else 100.0) for m in minutes]
    leaking = [(m, 500 + 2 * m) for m in minutes]
    soaked = Soak(30, {"system1": steady, "system2": leaking}, use=LimitUse(0, 0.5, 0.5, 10))
    assert abs(soaked.growth_mb_per_hour("system1")) < 1e-6
    assert abs(soaked.growth_mb_per_hour("system2") - 120) < 1e-6
    assert not soaked.passed


def test_continuous_runs_are_the_same_after_saving_and_loading_and_each_names_its_load(tmp_path):
    steady = {"system1": [(float(m), 500.0) for m in range(30)]}
    soaks = [Soak(30, steady, chunks=7, use=LimitUse(0, 0.5, 0.5, 10), busy_processes=busy, load_average=1.5) for busy in (0, 10)]
    save_soaks(tmp_path / "soaks.jsonl", soaks)
    assert load_soaks(tmp_path / "soaks.jsonl") == soaks
    assert load_soaks(tmp_path / "none.jsonl") == []
    text = page([], soaks, "today", "machine")
    assert "## Continuous running, 30 minutes, no busy processes (load average 1.5)\n\nPassed" in text
    assert "## Continuous running, 30 minutes, 10 busy processes (load average 1.5)" in text
    assert "continuous running" not in page([outcome("camera frozen", 0.3)], soaks, "today", "machine")


def test_a_diagnostic_counts_from_the_first_status_after_the_fault_that_carries_it():
    before = System1Status(refused_input_names=["image"], refused_input_counts=[3])
    statuses = [
        System1Status(stamp=to_time(k * 10**8), refused_input_names=["image"], refused_input_counts=[count])
        for k, count in enumerate([3, 3, 4, 5])
    ]
    assert reported_after_s(statuses, before, "input:image", 10**8) == 0.1
    assert reported_after_s(statuses, before, "text:camera", 0) is None
