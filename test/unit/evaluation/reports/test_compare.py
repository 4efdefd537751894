import json

import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult
from dial_core.evaluation.reports.compare import JUDGING, LOOP, compare, comparison_markdown, load_summary
from dial_core.evaluation.reports.result_page import summarise


def summary_of(successes: list[bool], model_id: str, **changes) -> dict:
    """A summary of one task, scene by scene."""
    protocol = Protocol(episodes=len(successes), model_id=model_id, **changes)
    results = [EpisodeResult("PlacematToPlate", 100_000 + index, success=success) for index, success in enumerate(successes)]
    return summarise(protocol, results, wall_s=1.0)


def test_two_checkpoints_are_paired_scene_by_scene():
    first, second = summary_of([True] * 6 + [False] * 6, "aaa"), summary_of([True] * 12, "bbb")
    comparison = compare(first, second)
    assert comparison["all"]["only_second"] == 6
    assert comparison["by_task"]["PlacematToPlate"] == comparison["all"]
    text = comparison_markdown(comparison)
    assert "A: checkpoint aaa. B: checkpoint bbb." in text
    assert "B is better" in text
    assert "do not show which is better" in comparison_markdown(compare(first, first))


def test_a_difference_that_few_seeds_make_is_not_called_better():
    tasks = [f"task {number}" for number in range(6)]

    def summary_with(seeds: set[int], model_id: str) -> dict:
        results = [EpisodeResult(task, 100_000 + n, success=n in seeds, objects=1, hand="left") for task in tasks for n in range(10)]
        return summarise(Protocol(episodes=10, tasks=tasks, model_id=model_id), results, wall_s=1.0)

    comparison = compare(summary_with(set(), "aaa"), summary_with({0, 1}, "bbb"))
    assert comparison["all"]["p_value"] < 0.001
    assert comparison["over_seeds"]["p_value"] == 0.5
    text = comparison_markdown(comparison)
    assert "Over 10 seeds, whose scenes share places and objects over tasks: 95 % -4.3 to +" in text
    assert "p = 0.5 (sign-flip, exact)" in text
    alike = comparison_markdown(compare(summary_with(set(), "aaa"), summary_with(set(range(10)), "bbb")))
    assert "over tasks: 95 % - (every seed has the same difference), p = 0.00195 (sign-flip, exact)." in alike
    assert "B solves more of these scenes, but over their seeds the difference may be chance" in text


def test_results_of_other_scenes_or_of_a_shard_are_not_compared():
    first = summary_of([True, False], "aaa")
    with pytest.raises(DialError, match="seed 100000 and 100002"):
        compare(first, summary_of([True, False], "bbb", seed=100_002))
    shard = {**first, "episodes": first["episodes"][:1]}
    for pair in ((first, shard), (shard, first), (shard, shard)):
        with pytest.raises(DialError, match=r"checkpoint aaa on in_distribution, .*holds 1 of 2 scenes .*`dial merge`"):
            compare(*pair)
    elsewhere = {**first, "episodes": [episode | {"seed": episode["seed"] + 5} for episode in first["episodes"]]}
    with pytest.raises(DialError, match="holds other scenes than its protocol says"):
        compare(first, elsewhere)


@pytest.mark.parametrize(
    ("key", "values"), [("scene", ("aaa", "bbb")), ("instruction", ("put the can on the plate", "put the mug in the pot"))]
)
def test_results_of_scenes_that_only_share_their_seed_are_not_compared(key, values):
    first, second = (summary_of([True, True, False], name) for name in ("aaa", "bbb"))
    for summary, value in zip((first, second), values, strict=True):
        summary["episodes"][1][key] = value
    with pytest.raises(DialError, match=rf"PlacematToPlate 100001: {key} {values[0]} and {values[1]}"):
        compare(first, second)
    del second["episodes"][1][key]  # a crashed episode, or a result of an earlier version, does not say
    assert compare(first, second)["all"]["both"] == 2


def test_equal_scenes_are_compared_over_versions_of_the_code_which_are_named():
    first, second = summary_of([True, False], "aaa"), summary_of([True, True], "bbb")
    assert compare(first, second)["code"] == []
    second |= {"sources": "f" * 12, "code_version": "9.9.9"}
    comparison = compare(first, second)
    assert comparison["code"] == [f"code_version {first['code_version']} and 9.9.9", f"sources {first['sources']} and {'f' * 12}"]
    assert "The code differs: code_version" in comparison_markdown(comparison)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"noise_seed": 0}, ["noise_seed -1 and 0"]),
        ({"execution": "direct"}, ["execution robot and direct"]),
        ({"device": "cuda", "precision": "bfloat16"}, ["device - and cuda", "precision - and bfloat16"]),
        ({"device": "cpu", "precision": "float32"}, []),  # as all had it that do not say so
        (
            {"system1_delay_s": 0.0, "flow_steps": 8, "strategy": "replace", "runtime": "onnx"},
            ["runtime eager and onnx", "strategy ensemble and replace", "system1_delay_s 0.07 and 0.0", "flow_steps 4 and 8"],
        ),
    ],
)
def test_results_of_different_loops_are_compared_and_every_difference_is_named(changes, named):
    first, second = summary_of([False] * 9, "aaa"), summary_of([True] * 9, "aaa", **changes)
    comparison = compare(first, second)
    assert comparison["protocol"] == named
    text = comparison_markdown(comparison)
    assert "B is better" in text
    assert (f"The protocol differs: {'; '.join(named)}." in text) == bool(named)
    assert ("without the latency, splice and limits of `robot`" in text) == ("execution" in changes)


def test_results_of_before_a_loop_could_be_chosen_differ_from_those_that_chose_another():
    first = summary_of([True, False], "aaa")
    before = {**first, "protocol": {key: value for key, value in first["protocol"].items() if key not in LOOP}}
    assert compare(before, summary_of([True, True], "bbb"))["protocol"] == []
    assert compare(before, summary_of([True, True], "bbb", execution="direct"))["protocol"] == ["execution robot and direct"]


def test_a_checkpoint_and_a_policy_without_a_model_differ_in_execution_and_not_in_timing_that_one_of_them_has_none_of():
    checkpoint = summary_of([True, False], "aaa", flow_steps=8, execute_steps=2, device="cuda", precision="bfloat16")
    random = summary_of([False, False], "", policy="random", execution="direct")
    assert compare(checkpoint, random)["protocol"] == ["execution robot and direct"]
    before = summary_of([False, False], "", policy="random")  # its result said `robot`, but it was commanded directly then too
    assert compare(checkpoint, before)["protocol"] == ["execution robot and direct"]
    assert compare(before, random)["protocol"] == []
    peer = summary_of([False, True], "bbb", policy="peer", execution="direct")
    assert compare(checkpoint, peer)["protocol"] == [
        "execution robot and direct",
        "device cuda and -",
        "precision bfloat16 and -",
        "execute_steps 2 and 3",
    ]


def test_libraries_that_differ_are_named_where_both_results_name_them():
    first, second = summary_of([True, False], "aaa"), summary_of([True, True], "bbb")
    assert compare(first, second)["libraries"] == []
    first["versions"] = {"mujoco": "4.0.0", "torch": "2.13.0", "numpy": "2.2.6"}
    second["versions"] = {"mujoco": "4.1.0", "torch": "2.13.0"}
    comparison = compare(first, second)
    assert comparison["libraries"] == ["mujoco 4.0.0 and 4.1.0"]
    assert "The libraries differ: mujoco 4.0.0 and 4.1.0." in comparison_markdown(comparison)
    del second["versions"]  # of an earlier version
    assert compare(first, second)["libraries"] == []
    assert "libraries" not in comparison_markdown(compare(first, second))


def test_results_judged_in_different_ways_are_not_compared_and_those_of_before_it_could_be_chosen_are():
    first = summary_of([True, False], "aaa")
    with pytest.raises(
        DialError, match="hold_steps 10 and 1; judged every_step and chunk_end; settle_steps 0 and 100; environment  and 6949c44950b0"
    ):
        compare(first, summary_of([True, False], "bbb", judged="chunk_end", hold_steps=1, settle_steps=100, environment="6949c44950b0"))
    before = {**first, "protocol": {key: value for key, value in first["protocol"].items() if key not in JUDGING}}
    assert compare(first, before)["all"]["only_second"] == 0


def test_a_result_is_found_by_its_folder(tmp_path):
    with pytest.raises(DialError, match="no result at"):
        load_summary(tmp_path)
    summary = summary_of([True], "aaa")
    (tmp_path / "result.json").write_text(json.dumps(summary))
    assert load_summary(tmp_path) == load_summary(tmp_path / "result.json") == summary
    (tmp_path / "result.json").write_text(json.dumps({"one": summary, "two": summary}))
    with pytest.raises(DialError, match="several results"):
        load_summary(tmp_path)
