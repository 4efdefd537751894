"""What becomes of an instruction that changes in mid-motion: scenes with two objects, the other one named after some seconds.

A fresh scene starts with the instruction of one object; after the change it is judged on the other. As on the robot the foresights
and chunks of the first instruction are dropped at the change, and the arm decelerates until the first new ones arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import TabletopArena
from dial_core.evaluation.closed_loop.dial_policy import DialPolicy
from dial_core.evaluation.closed_loop.origin import origin_of
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import Verdicts
from dial_core.evaluation.reports.intervals import wilson_interval
from dial_core.files.atomic import write_json, write_text
from dial_core.sim.scene import scene_of
from dial_core.sim.task import EVALUATION_SEEDS_FROM, load_task

MOST_SEEDS = 400  # looked at for scenes with two objects
Outcome = Literal["new", "old", "both", "neither"]


@dataclass(frozen=True)
class Change:
    """One scene and when its instruction changed [s], with which object stood in the target at the end."""

    seed: int
    at_s: float
    outcome: Outcome


def two_object_seeds(task: str, scenes: int, first: int = EVALUATION_SEEDS_FROM) -> list[int]:
    """The first `scenes` seeds from `first` on whose scenes have two objects.

    Raises:
        DialError: the task has no such scenes.
    """
    loaded = load_task(task)
    found: list[int] = []
    for seed in count(first):
        if len(scene_of(loaded, seed).objects) > 1:
            found.append(seed)
        if len(found) == scenes:
            return found
        if seed - first > MOST_SEEDS:
            raise DialError(f"task {task} has {len(found)} scenes with two objects among {MOST_SEEDS} seeds from {first}, wanted {scenes}")
    raise AssertionError


def run_change(arena: TabletopArena, policy: DialPolicy, seed: int, at_s: float, hold_steps: int) -> Change:
    """One episode whose instruction changes after `at_s` [s]; it ends at the task's last step after that, or when the new one is obeyed."""
    arena.reset(seed, other=True)
    second = arena.instruction
    arena.reset(seed)
    first = arena.world.scene.target
    policy.begin(arena, seed, arena.instruction)
    change_step = round(at_s * arena.embodiment.rate_hz)
    verdicts = Verdicts(hold_steps)
    for step in range(1, change_step + arena.max_steps + 1):
        if step == change_step + 1:
            policy.change_instruction(second)
        arena.advance(policy.targets(arena.observe(policy.needs_image)))
        verdicts.add(step, step > change_step and set(arena.world.moved_objects()) == {1 - first})
        if verdicts.success:
            break
    moved = set(arena.world.moved_objects())
    names: dict[tuple[bool, bool], Outcome] = {(True, True): "both", (True, False): "new", (False, True): "old", (False, False): "neither"}
    return Change(seed, at_s, names[1 - first in moved, first in moved])


def study(
    policy: DialPolicy, protocol: Protocol, task: str, scenes: int, times_s: Sequence[float], on_result: Callable[[Change], None]
) -> list[Change]:
    """Every scene at every time of change; `on_result` takes each one as it comes."""
    arena = TabletopArena(task, protocol.camera, protocol.image_px)
    found = []
    for at_s in times_s:
        for seed in two_object_seeds(task, scenes, protocol.seed):
            found.append(run_change(arena, policy, seed, at_s, protocol.hold_steps))
            on_result(found[-1])
    arena.close()
    return found


def write_changes(folder: Path, checkpoint: str, protocol: Protocol, changes: Sequence[Change]) -> str:
    """Writes changes.json and changes.md to a folder, and returns the latter's text: how often the new instruction was obeyed, by time."""
    lines = [f"# Instruction changed in mid-motion: {checkpoint} on {', '.join(protocol.tasks)}", ""]
    lines += ["| changed after | new object alone moved | 95 % Wilson | old one alone | both | neither |", "|---|---|---|---|---|---|"]
    for at_s in sorted({change.at_s for change in changes}):
        outcomes = [change.outcome for change in changes if change.at_s == at_s]
        low, high = wilson_interval(outcomes.count("new"), len(outcomes))
        rest = " | ".join(str(outcomes.count(name)) for name in ("old", "both", "neither"))
        lines.append(f"| {at_s:g} s | {outcomes.count('new')}/{len(outcomes)} | {100 * low:.0f} to {100 * high:.0f} % | {rest} |")
    text = "\n".join([*lines, "", f"Protocol hash {protocol.hash}."]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    content = origin_of(protocol) | {"checkpoint": checkpoint, "changes": [asdict(change) for change in changes]}
    write_json(folder / "changes.json", content)
    write_text(folder / "changes.md", text)
    return text
