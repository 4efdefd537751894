"""How long the steps of a plan will take: by the plan's costs, corrected by what the finished steps took here."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from dial_core.reproduction.done_marks import DoneMarks
from dial_core.reproduction.pipeline_step import PipelineStep

OVERHEAD_S = 10.0  # a command's start: Python, torch, the checkpoint


def expected_s(step: PipelineStep, workers: int) -> float:
    """Seconds that a step takes by the plan's costs, its processes working at once."""
    return OVERHEAD_S + step.core_s / (max(1, workers) if step.parallel or step.trains else 1)


def corrections(steps: Sequence[PipelineStep], marks: DoneMarks) -> dict[str, float]:
    """Kind of step -> time taken over time expected, of the kinds of which a step has finished here."""
    sums: dict[str, list[float]] = {}
    for step in steps:
        mark = marks.read(step)
        if mark is not None and mark.wall_s is not None and mark.expected_s > OVERHEAD_S:
            taken, expected = sums.get(step.kind, [0.0, 0.0])
            sums[step.kind] = [taken + mark.wall_s, expected + mark.expected_s]
    return {kind: taken / expected for kind, (taken, expected) in sums.items()}


def schedule_s(todo: Sequence[PipelineStep], durations_s: Mapping[str, float], jobs: int) -> float:
    """Seconds until the last of the steps is done, `jobs` of them at a time, each as soon as what it needs is done.

    `todo` is in an order in which needs come first; what is not in it is done already.
    """
    waiting = {step.name: {need for need in step.needs if need in durations_s} for step in todo}
    ready = [step.name for step in todo if not waiting[step.name]]
    running: list[tuple[float, str]] = []
    now_s = 0.0
    while ready or running:
        while ready and len(running) < jobs:
            name = ready.pop(0)
            heapq.heappush(running, (now_s + durations_s[name], name))
        now_s, ended = heapq.heappop(running)
        for step in todo:
            if ended in waiting[step.name]:
                waiting[step.name].remove(ended)
                if not waiting[step.name]:
                    ready.append(step.name)
    return now_s


def readable_hours(seconds: float) -> str:
    """`2.4 h`, or minutes below one hour."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def status_rows(steps: Sequence[PipelineStep], durations_s: Mapping[str, float], marks: DoneMarks) -> list[tuple[str, str, str]]:
    """(step, state, time) of every step, for a table on the console."""
    rows = []
    for step in steps:
        mark = marks.read(step)
        if step.name not in durations_s:
            state, hours = "done", readable_hours(mark.wall_s) if mark and mark.wall_s is not None else "-"
        else:
            state, hours = "to do" if mark is None else "started", f"about {readable_hours(durations_s[step.name])}"
        rows.append((step.name, state, hours))
    return rows
