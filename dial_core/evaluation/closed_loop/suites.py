"""Suites by name, ours and those of the original benchmark: which tasks they hold, and where their scenes take place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from dial_core.config import config_root
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Arena, Case, TabletopArena
from dial_core.evaluation.closed_loop.benchmark import benchmark_of, benchmark_suites
from dial_core.evaluation.closed_loop.robocasa import RobocasaArena
from dial_core.sim import suite as tabletop
from dial_core.sim.scene import scene_of
from dial_core.sim.task import Task, load_task

EPISODES = 100  # of each task of our own suites


@cache
def _suite_of(root: Path, suite: str) -> tabletop.Suite:
    return tabletop.load_suite(suite)


def _load_suite(suite: str) -> tabletop.Suite:
    """The suite, read once for each configuration folder."""
    return _suite_of(config_root(), suite)


def suite_names() -> list[str]:
    """All suites there are."""
    return [*tabletop.suite_names(), *benchmark_suites()]


def suite_tasks(suite: str) -> tuple[str, ...]:
    """The tasks of a suite, in order.

    Raises:
        DialError: there is no such suite; the message lists them.
    """
    if benchmark := benchmark_of(suite):
        return benchmark.tasks(suite)
    if suite not in tabletop.suite_names():
        raise DialError(f"no suite '{suite}'; suites: {', '.join(suite_names())}")
    return _load_suite(suite).task_names


def is_file(task: str) -> bool:
    """Whether a task is meant by its own YAML file, and not by its name in a suite."""
    return task.endswith((".yaml", ".yml"))


def suite_protocol(suite: str, rules: str = "") -> dict:
    """What a suite fixes of the protocol; of a benchmark's protocols the one named `rules`, or its default.

    Raises:
        DialError: the suite has no such protocol; the message lists them.
    """
    if benchmark := benchmark_of(suite):
        return benchmark.protocol(rules)
    if rules:
        raise DialError(f"suite '{suite}' has one protocol, without a name; only benchmarks have several")
    return {"episodes": EPISODES}


def make_arena(suite: str, task: str, camera: str, image_px: int = 96, settle_steps: int = 0) -> Arena:
    """Where a task of a suite, or one of our tabletop by its file, takes place; `settle_steps` is a benchmark's only."""
    if benchmark := benchmark_of(suite):
        return RobocasaArena(benchmark, task, settle_steps)
    return TabletopArena(_tabletop_task(suite, task), camera, image_px)


def instruction_of(suite: str, case: Case, other: bool) -> str | None:
    """What the scene of a case asks for, worked out from its seed alone; None where only the environment knows.

    With `other` another object is named, where there is one.
    """
    if benchmark_of(suite):
        return None
    task = _tabletop_task(suite, case.task)
    scene = scene_of(task, case.seed)
    count = len(scene.objects)
    if other and count > 1:
        scene = scene_of(task, case.seed, (scene.target + 1) % count)
    return scene.instruction


def object_count(suite: str, case: Case) -> int:
    """How many objects the source of a scene holds; 1 for a benchmark's, which does not report it."""
    return 1 if benchmark_of(suite) else len(scene_of(_tabletop_task(suite, case.task), case.seed).objects)


def holds_several_objects(suite: str, case: Case) -> bool:
    """Whether the source of a scene holds several objects, so that a name decides; no for a benchmark's, which does not report it."""
    return object_count(suite, case) > 1


def working_hand(suite: str, case: Case) -> str:
    """The hand that does the task of a scene, `left` or `right`; empty for a benchmark's, which does not report it."""
    return "" if benchmark_of(suite) else scene_of(_tabletop_task(suite, case.task), case.seed).hand


def _tabletop_task(suite: str, task: str) -> Task:
    return load_task(task) if is_file(task) else _load_suite(suite).task(task)
