import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult
from dial_core.evaluation.reports.result_page import summarise
from dial_core.evaluation.reports.suite_tables import suite_tables


def result(task: str, *successes: bool, **changes) -> dict:
    protocol = Protocol(**{"policy": "expert", "tasks": (task,), "episodes": len(successes), **changes})
    return summarise(protocol, [EpisodeResult(task, 100_000 + n, success=good, steps=90) for n, good in enumerate(successes)], 1.0)


def test_suites_have_a_row_each_and_their_tasks_another():
    text = suite_tables([result("TrayToPot", True, False), result("TrayToPlate", True, True), result("PlateToPot", True, suite="unseen")])
    assert "| `in_distribution` | 2 | **75.0 (3/4)** | 30.1 to 95.4 | 50.0 (1/2) TrayToPot | 0 |" in text
    assert "| `unseen` | 1 | **100.0 (1/1)**" in text
    assert "| TrayToPlate | 100.0 (2/2) | 34.2 to 100.0 | 90 |" in text
    assert "| `in_distribution` | 1 | 100000 to 100001 |" in text


def test_a_task_measured_again_counts_once_and_with_its_last_result():
    text = suite_tables([result("TrayToPot", False, False), result("TrayToPot", True, True, True)])
    assert "| `in_distribution` | 1 | **100.0 (3/3)**" in text


def test_a_shard_is_not_taken_for_the_whole():
    whole = result("TrayToPot", True, False)
    shard = whole | {"episodes": whole["episodes"][:1], "shard": "1/2"}
    with pytest.raises(DialError, match=r"expert on in_distribution, .* hash \w{12} \(shard 1/2\), holds 1 of 2 scenes .*`dial merge`"):
        suite_tables([whole, shard])
    del shard["shard"]  # of an earlier version
    with pytest.raises(DialError, match=r"hash \w{12}, holds 1 of 2 scenes"):
        suite_tables([shard])


def test_tasks_of_the_users_own_do_not_count_into_a_suite():
    text = suite_tables([result("TrayToPot", True, True), result("mine/TrayToPan.yaml", False, False)])
    assert "| `in_distribution` | 1 | **100.0 (2/2)**" in text
    assert "| `mine/TrayToPan.yaml` | 1 | **0.0 (0/2)**" in text
    assert "## `mine/TrayToPan.yaml`" in text
    assert "| `mine/TrayToPan.yaml` | 1 | 100000 to 100001 |" in text


def test_different_policies_are_not_mixed():
    with pytest.raises(DialError, match="different policies"):
        suite_tables([result("TrayToPot", True), result("TrayToPot", True, policy="random")])
