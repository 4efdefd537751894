"""`dial collect`: the scripted expert's successful episodes as a LeRobot v3 dataset, from seeds; all of it or one shard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dial_core.datasets.episodes import save_episode
from dial_core.demonstrations.attempts import Attempts, Tally
from dial_core.demonstrations.collection_plan import CollectionPlan, sources_of
from dial_core.demonstrations.demonstration import demonstrate
from dial_core.demonstrations.packing import pack
from dial_core.errors import DialError
from dial_core.files.disk_space import DiskFullError, with_rest
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import JobResult, run_jobs
from dial_core.sim.task import Task
from dial_core.sim.world import World

HOPELESS_ATTEMPTS = 30  # without one success: something is wrong with the task or the expert

_kept: dict[tuple[str, int], World] = {}


@dataclass(frozen=True)
class CollectJob:
    """One attempt: the expert on the scene of `seed`, kept in `folder`."""

    task: Task
    seed: int
    disturbed: bool
    changed: bool
    missed: bool
    image_size: int
    folder: Path


def collect(tasks: tuple[Task, ...], plan: CollectionPlan, out: Path, workers: int) -> dict[str, Tally]:
    """Collects `plan` into a dataset at `out`, or a shard of it into a folder of attempts at `out`.

    However many workers took part, the result is the same. Failed attempts are counted by reason in
    `meta/collection.json`. Interrupted, it resumes where it stopped: finished attempts lie in `<out>.attempts/` until the
    dataset is written, and a dataset appears complete or not at all.

    Raises:
        DialError: `out` exists, attempts of another plan, of other tasks or by other code are there, or the seeds would reach those
            reserved for evaluation.
        DiskFullError: which says how much more is needed; the same call resumes.
    """
    plan, sharded = plan.of(tasks, sources_of(__name__)), plan.shard[1] > 1
    if out.exists() and not sharded:
        raise DialError(f"{out} exists already; choose another --out, or delete it to collect again.")
    attempts = Attempts(out if sharded else out.with_name(f"{out.name}.attempts"))
    attempts.require(plan.identity, plan.unknown_before)
    tallies = {task.name: attempts.tally(task.name) for task in tasks}
    try:
        _attempt_all(tasks, plan, attempts, tallies, workers)
    except DiskFullError as error:
        written = [attempts.episode(name, seed) for name, tally in tallies.items() for seed in tally.successes]
        left = sum(max(plan.wanted - len(tally.successes), 0) for tally in tallies.values())
        raise with_rest(error, written, left, "episodes") from error
    if not sharded:
        pack(out, plan, {name: [attempts] for name in tallies})
        shutil.rmtree(attempts.folder)
    return tallies


def _attempt_all(tasks: tuple[Task, ...], plan: CollectionPlan, attempts: Attempts, tallies: dict[str, Tally], workers: int) -> None:
    wanted = plan.wanted * len(tasks)
    title = tasks[0].name if len(tasks) == 1 else f"{len(tasks)} tasks"
    with progress_bar(f"collect {title}", wanted, sum(min(plan.wanted, len(t.successes)) for t in tallies.values())) as advance:
        for result in run_jobs(attempt, _jobs(tasks, plan, attempts, tallies), workers):
            tally = tallies[result.job.task.name]
            useful = _note(result, tally, attempts) and len(tally.successes) <= plan.wanted
            failed, tried = (sum(len(of(t)) for t in tallies.values()) for of in (lambda t: t.failures, lambda t: t.tried))
            advance(int(useful), f"{failed} of {tried} attempts failed; {result.job.task.name}")
            if not tally.successes and len(tally.failures) >= HOPELESS_ATTEMPTS:
                raise DialError(f"{result.job.task.name}: the expert failed in the first {HOPELESS_ATTEMPTS} scenes: {tally.reasons}")


def _note(result: JobResult, tally: Tally, attempts: Attempts) -> bool:
    """Counts one attempt; says whether it succeeded."""
    reason = result.value
    if result.error:
        reason = f"crashed: {result.reason}"
        attempts.note_failure(result.job.task.name, result.job.seed, reason)
    if reason is None:
        tally.successes.add(result.job.seed)
    else:
        tally.failures[result.job.seed] = reason
    return reason is None


def attempt(job: CollectJob) -> str | None:
    """Runs one attempt and stores it if it succeeds; returns what ended it otherwise."""
    world, attempts = _world(job.task, job.image_size), Attempts(job.folder)
    episode, reason = demonstrate(world, job.seed, job.disturbed, job.changed, job.missed)
    if episode is None:
        attempts.note_failure(job.task.name, job.seed, reason)
        return reason
    save_episode(attempts.episode(job.task.name, job.seed), episode, world.embodiment.rate_hz)
    return None


def _jobs(tasks: tuple[Task, ...], plan: CollectionPlan, attempts: Attempts, tallies: dict[str, Tally]) -> Iterator[CollectJob]:
    """Task by task, seed by seed, until enough have succeeded and no smaller seed is untried; drawn from only when a worker is free.

    Of a collection that was killed, scenes in flight then may be untried though enough later ones have succeeded.
    """
    for task in tasks:
        seeds, tally, seed = plan.seeds(task), tallies[task.name], -1
        tried = tally.tried
        while len(tally.successes) < plan.wanted or seed < tally.first(plan.wanted)[-1]:
            seed = next(seeds)
            if seed not in tried:
                disturbed, changed, missed = _drawn(seed, 3, plan.disturbed), _drawn(seed, 9, plan.changed), _drawn(seed, 11, plan.missed)
                yield CollectJob(task, seed, disturbed, changed, missed, plan.image_size, attempts.folder)


def _drawn(seed: int, stream: int, share: float) -> bool:
    """Whether the scene of `seed` is one of a share of all, by a stream of the seed of its own."""
    return bool(np.random.default_rng([seed, stream]).random() < share)


def _world(task: Task, image_size: int) -> World:
    key = (task.model_dump_json(), image_size)
    if key not in _kept:
        for world in _kept.values():
            world.close()
        _kept.clear()
        _kept[key] = World(task, image_size=image_size)
    return _kept[key]
