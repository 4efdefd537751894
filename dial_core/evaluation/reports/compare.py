"""Compares two policies on the same scenes, over all and by task, with McNemar's test."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import WITHOUT_MODEL, without_effect
from dial_core.evaluation.reports.intervals import FEWEST_SEEDS, Paired, compare_over_seeds, compare_paired

SCENES = ("suite", "tasks", "episodes", "seed", "seeds", "hold_steps", "instruct")  # what must agree
OF_AN_EPISODE = ("scene", "instruction")  # what must agree where both results say it
CODE = ("code_version", "sources")  # what may differ, and is named
SHOWN = 3  # episodes named in a message
WHOLE = "1/1"  # the shard that is everything
JOIN = "Join all shards with `dial merge`"
NO_SPREAD = "- (every seed has the same difference)"
NOT_THE_SAME = "these two results are not of the same scenes"
# What must agree too, and what results of before it could be chosen have.
JUDGING = {"judged": "every_step", "settle_steps": 0, "environment": ""}
# Everything else of a protocol, but who was evaluated, may differ and is named. What results of before these were recorded had:
WHO = ("policy", "model_id")
LOOP = {"rules": "", "execution": "robot", "runtime": "eager", "device": "", "precision": ""}
UNREPORTED = {"device": "cpu", "precision": "float32"}  # what an empty one is taken for: all results had it before they could say so


def load_summary(path: Path) -> dict:
    """Reads the `result.json` of a `dial eval`, given the file or its folder.

    Raises:
        DialError: there is none, or it holds several results.
    """
    file = path / "result.json" if path.is_dir() else path
    if not file.is_file():
        raise DialError(f"no result at {path}: {file} is missing; `dial eval` writes one to its --out folder")
    summary = json.loads(file.read_text())
    if "episodes" not in summary:
        raise DialError(f"{file} holds several results ({', '.join(summary)}); give the folder of one of them")
    return summary


def scene_count(summary: dict) -> int:
    """How many scenes the protocol of a summary asks for."""
    protocol = summary["protocol"]
    return len(protocol["tasks"]) * (len(protocol.get("seeds") or ()) or protocol["episodes"])


def require_whole(summary: dict) -> None:
    """Passes if a summary holds every scene of its protocol.

    Raises:
        DialError: it is that of a shard.
    """
    found, wanted = len(summary["episodes"]), scene_count(summary)
    if found < wanted:
        shard = f" (shard {summary['shard']})" if "shard" in summary else ""
        suite = summary["protocol"]["suite"]
        raise DialError(
            f"the result of {policy_name(summary)} on {suite}, protocol hash {summary['protocol_hash']}{shard}, holds {found} of {wanted} "
            f"scenes and is no result of the whole. {JOIN}"
        )


def compare(first: dict, second: dict) -> dict:
    """Pairs two summaries scene by scene.

    Returns:
        `all` and `by_task`, each a `Paired` as JSON values, `over_seeds`, a `PairedOverSeeds` of all, `names` of both sides, and in what
        else than the policy they differ, by which it may do otherwise on an equal scene: `code` (versions of the code and its data),
        `libraries` (that both results name), and `protocol` (the loop that the policy ran in, and where and how it was computed).

    Raises:
        DialError: the scenes, or how success was judged on them, are not the same; or one of them is a shard.
    """
    ours, theirs = (JUDGING | summary["protocol"] for summary in (first, second))
    differing = [f"{key} {ours[key]} and {theirs[key]}" for key in (*SCENES, *JUDGING) if ours[key] != theirs[key]]
    if differing:
        raise DialError(f"{NOT_THE_SAME}: {'; '.join(differing)}. Run both with the same suite, tasks, seeds and protocol")
    for summary in (first, second):
        require_whole(summary)
    episodes = [{(e["task"], e["seed"]): e for e in summary["episodes"]} for summary in (first, second)]
    if episodes[0].keys() != episodes[1].keys():
        raise DialError(f"{NOT_THE_SAME}: one of them holds other scenes than its protocol says. Run it again")
    _require_equal_scenes(*episodes)
    outcomes = [{key: episode["success"] for key, episode in side.items()} for side in episodes]
    by_task: dict[str, Paired] = {}
    for task in first["protocol"]["tasks"]:
        keys = [key for key in outcomes[0] if key[0] == task]
        by_task[task] = compare_paired([outcomes[0][key] for key in keys], [outcomes[1][key] for key in keys])
    sides = [[side[key] for key in outcomes[0]] for side in outcomes]
    return {
        "names": [policy_name(first), policy_name(second)],
        "all": asdict(compare_paired(sides[0], sides[1])),
        "over_seeds": asdict(compare_over_seeds([seed for _, seed in outcomes[0]], *sides)),
        "by_task": {task: asdict(paired) for task, paired in by_task.items()},
        "code": [f"{key} {first.get(key)} and {second.get(key)}" for key in CODE if first.get(key) != second.get(key)],
        "libraries": _differing_libraries(first.get("versions", {}), second.get("versions", {})),
        "protocol": _differing_loop(_loop_of(first["protocol"]), _loop_of(second["protocol"])),
    }


def _differing_libraries(first: dict[str, str], second: dict[str, str]) -> list[str]:
    return [f"{name} {first[name]} and {second[name]}" for name in first if name in second and first[name] != second[name]]


def _loop_of(protocol: dict[str, Any]) -> dict[str, Any]:
    """A protocol with what its result did not say; those of policies without a model said `robot` once, and were commanded directly."""
    direct = {"execution": "direct"} if protocol["policy"] in WITHOUT_MODEL else {}
    return LOOP | protocol | direct


def _differing_loop(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """`noise_seed 0 and -1` of every value of two protocols that may differ, does, and has an effect on both; a dash: not reported."""
    idle = without_effect(first) | without_effect(second)
    keys = [key for key in first if key in second and key not in (*SCENES, *JUDGING, *WHO, *idle)]
    values = [(key, first[key], second[key]) for key in keys]
    differing = [row for row in values if _taken_for(row[0], row[1]) != _taken_for(row[0], row[2])]
    return [f"{key} {'-' if ours == '' else ours} and {'-' if theirs == '' else theirs}" for key, ours, theirs in differing]


def _taken_for(key: str, value: Any) -> Any:
    return UNREPORTED.get(key, value) if value == "" else value


def _require_equal_scenes(first: dict[tuple[str, int], dict], second: dict[tuple[str, int], dict]) -> None:
    """Checks that equal tasks and seeds were equal worlds: both change with the task's file, the world's code and its objects."""
    differing = [
        f"{task} {seed}: {what} {ours[what]} and {theirs[what]}"
        for (task, seed), ours in first.items()
        for theirs in (second[task, seed],)
        for what in OF_AN_EPISODE
        if ours.get(what) and theirs.get(what) and ours[what] != theirs[what]  # a crashed episode does not say
    ]
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise DialError(f"{NOT_THE_SAME}: {'; '.join(differing[:SHOWN])}{more}. Run both with the same code and tasks")


def policy_name(summary: dict) -> str:
    """Returns the policy of a summary: its kind, and the id of its weights if it has any."""
    protocol = summary["protocol"]
    return f"{protocol['policy']} {protocol['model_id']}".strip()


def comparison_markdown(comparison: dict) -> str:
    """Returns a table of both policies, by task and over all, and a sentence that interprets it."""
    first, second = comparison["names"]
    rows = {**comparison["by_task"], "all": comparison["all"]} if len(comparison["by_task"]) > 1 else {"all": comparison["all"]}
    lines = [
        "# Two policies on the same scenes",
        "",
        f"A: {first}. B: {second}.",
        "",
        "| | scenes | A | B | only A | only B | B - A | 95 % | p (McNemar, exact) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        scenes = row["both"] + row["only_first"] + row["only_second"] + row["neither"]
        low, high = row["interval"]
        lines.append(
            f"| {name} | {scenes} | {row['both'] + row['only_first']} | {row['both'] + row['only_second']} | {row['only_first']} "
            f"| {row['only_second']} | {100 * row['difference']:+.1f} | {100 * low:+.1f} to {100 * high:+.1f} | {row['p_value']:.3g} |"
        )
    return "\n".join([*lines, "", *_beside_the_policy(comparison), *_over_seeds(comparison), _verdict(comparison), ""])


def _beside_the_policy(comparison: dict) -> list[str]:
    """Returns a sentence on everything in which the two sides differ beside the policy."""
    lines = []
    if code := comparison["code"]:
        lines += [f"The code differs: {'; '.join(code)}. The scenes are equal.", ""]
    if libraries := comparison["libraries"]:
        lines += [f"The libraries differ: {'; '.join(libraries)}.", ""]
    if protocol := comparison["protocol"]:
        direct = " `direct` commands a policy's targets as they are, without the latency, splice and limits of `robot`."
        executed = direct if any(value.startswith("execution ") for value in protocol) else ""
        lines += [f"The protocol differs: {'; '.join(protocol)}.{executed} The comparison is of policy and protocol together.", ""]
    return lines


def _over_seeds(comparison: dict) -> list[str]:
    """Returns a sentence on the difference over seeds, where scenes share them: those of a seed are alike over tasks."""
    seeds = comparison["over_seeds"]
    if len(comparison["by_task"]) == 1:
        return []
    interval = ""
    if seeds["seeds"] >= FEWEST_SEEDS:
        bounds = "{:+.1f} to {:+.1f} (bootstrap)".format(*(100 * bound for bound in seeds["interval"])) if seeds["interval"] else NO_SPREAD
        interval = f"95 % {bounds}, "
    test = f"{interval}p = {seeds['p_value']:.3g} (sign-flip, exact)"
    return [f"Over {seeds['seeds']} seeds, whose scenes share places and objects over tasks: {test}.", ""]


def _verdict(comparison: dict) -> str:
    row, seeds = comparison["all"], comparison["over_seeds"]
    if row["p_value"] >= 0.05:
        return "The difference may be chance (p of at least 0.05): these scenes do not show which is better."
    better = "B" if row["difference"] > 0 else "A"
    if seeds["p_value"] >= 0.05:
        return f"{better} solves more of these scenes, but over their seeds the difference may be chance (p of at least 0.05)."
    chance = f"a difference as large has a probability of {seeds['p_value']:.2g} if both were equally good"
    return f"{better} is better on these scenes; {chance}."
