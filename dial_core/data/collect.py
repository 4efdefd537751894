"""`dial collect`: the scripted expert's successful episodes as a LeRobot v3 dataset, from seeds."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dial_core.data.episodes import Episode, save_episode
from dial_core.data.fingerprint import require_same
from dial_core.data.lerobot import write_dataset
from dial_core.data.progress import progress_bar
from dial_core.data.workers import run_jobs
from dial_core.errors import DialError
from dial_core.kinematics import ForwardKinematics
from dial_core.sim.expert import Expert
from dial_core.sim.task import EVALUATION_SEEDS_FROM
from dial_core.sim.world import World

# The robot must also learn to stay where it ended: this long do demonstrations go on after success (0.8 s at 20 Hz).
HOLD_STEPS = 16
HOPELESS_ATTEMPTS = 30  # without one success: something is wrong with the task or the expert

_worlds: dict[str, World] = {}


@dataclass(frozen=True)
class CollectJob:
    """One attempt: the expert on the scene of `seed`, kept in `folder`."""

    task: str
    seed: int
    disturbed: bool
    folder: str


@dataclass
class Tally:
    """Outcomes of the attempts so far: successful seeds, and what ended the failed ones."""

    successes: set[int]
    failures: dict[int, str]

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason ended an attempt."""
        return dict(Counter(self.failures.values()))


def collect(task: str, episodes: int, seed: int, disturbed: float, out: Path, workers: int) -> Tally:
    """Collects `episodes` demonstrations from scenes `seed`, `seed` + 1, ... into a dataset at `out`.

    On a share `disturbed` of the scenes the robot is pushed off the expert's path while the expert's own actions are
    recorded, so that a learner sees how to come back (DART, Laskey et al. 2017).

    The first `episodes` seeds on which the expert succeeds, however many workers took part; failed attempts are
    counted by reason in `meta/collection.json`. Interrupted, it goes on where it was: finished attempts lie in
    `<out>.attempts/` until the dataset is written.

    Raises:
        DialError: `out` exists, attempts of another task, seed or share are there, or the seeds would reach those kept for
            evaluation.
    """
    if out.exists():
        raise DialError(f"{out} exists already; choose another --out, or delete it to collect anew.")
    folder = out.with_name(f"{out.name}.attempts")
    require_same(folder, {"task": task, "seed": seed, "disturbed": disturbed})
    tally = _resume(folder, seed)
    with progress_bar(f"collect {task}", episodes, min(episodes, len(tally.successes))) as advance:
        for result in run_jobs(attempt, _jobs(task, episodes, seed, disturbed, folder, tally), workers):
            reason = result.value
            if result.error:
                reason = "crashed: " + result.error.strip().splitlines()[-1]
                _note_failure(folder, result.job.seed, reason)
            if reason is None:
                tally.successes.add(result.job.seed)
            else:
                tally.failures[result.job.seed] = reason
            news = f"{len(tally.failures)} of {len(tally.successes) + len(tally.failures)} attempts failed"
            advance(int(reason is None), news)
            if not tally.successes and len(tally.failures) >= HOPELESS_ATTEMPTS:
                raise DialError(f"The expert failed in all of the first {HOPELESS_ATTEMPTS} scenes: {tally.reasons}")
    chosen = sorted(tally.successes)[:episodes]
    world = _world(task)
    paths = [_episode_path(folder, chosen_seed) for chosen_seed in chosen]
    write_dataset(out, paths, world.embodiment, (world.image_size, world.image_size))
    failed = {at: reason for at, reason in sorted(tally.failures.items()) if at < chosen[-1]}
    report = {"task": task, "seed": seed, "disturbed": disturbed, "episodes": len(chosen), "failed": len(failed), "failures": failed}
    (out / "meta/collection.json").write_text(json.dumps(report, indent=2) + "\n")
    shutil.rmtree(folder)
    return tally


def attempt(job: CollectJob) -> str | None:
    """Runs one attempt and stores it if it succeeds; returns what ended it otherwise."""
    world = _world(job.task)
    episode, reason = demonstrate(world, job.seed, job.disturbed)
    if episode is None:
        _note_failure(Path(job.folder), job.seed, reason)
        return reason
    save_episode(_episode_path(Path(job.folder), job.seed), episode, world.embodiment.rate_hz)
    return None


def demonstrate(world: World, seed: int, disturbed: bool = False) -> tuple[Episode | None, str]:
    """The expert's episode on the scene of `seed`, or None and the phase in which it failed."""
    world.reset(seed)
    expert = Expert(world, seed)
    kinematics = ForwardKinematics(world.embodiment)
    frames, states, actions = [], [], []
    held = 0
    for _ in range(world.task.max_steps):
        frames.append(world.render())
        states.append(kinematics.state(world.joint_positions()))
        actions.append(expert.action())
        phase = expert.phase
        executed = expert.disturb(actions[-1]) if disturbed else actions[-1]
        world.advance(executed[world.embodiment.joint_slice], 1.0 / world.embodiment.rate_hz)
        held = held + 1 if world.success() else 0
        if expert.done and held >= HOLD_STEPS:
            break
        if expert.done and held == 0:
            return None, f"the object was not in place at the end (phase {phase})"
    if held < HOLD_STEPS:
        return None, f"out of time in phase {phase}"
    objects = [thing.type for thing in world.scene.objects]
    facts = {"task": world.task.name, "objects": objects, "target": world.scene.target, "disturbed": disturbed}
    vectors = np.asarray(states, np.float32), np.asarray(actions, np.float32)
    return Episode(np.stack(frames), *vectors, world.instruction, seed, facts), ""


def _jobs(task: str, episodes: int, seed: int, disturbed: float, folder: Path, tally: Tally) -> Iterator[CollectJob]:
    tried = tally.successes | set(tally.failures)
    at = seed
    while len(tally.successes) < episodes:
        if at >= EVALUATION_SEEDS_FROM:
            raise DialError(f"Seed {at} is kept for evaluation (from {EVALUATION_SEEDS_FROM}); start from a smaller --seed.")
        if at not in tried:
            yield CollectJob(task, at, bool(np.random.default_rng([at, 3]).random() < disturbed), str(folder))
        at += 1


def _world(task: str) -> World:
    if task not in _worlds:
        _worlds[task] = World(task)
    return _worlds[task]


def _episode_path(folder: Path, seed: int) -> Path:
    return folder / f"{seed:06d}.npz"


def _note_failure(folder: Path, seed: int, reason: str) -> None:
    (folder / f"{seed:06d}.failed").write_text(reason)


def _resume(folder: Path, seed: int) -> Tally:
    failures = {int(path.stem): path.read_text() for path in folder.glob("*.failed")}
    successes = {int(path.stem) for path in folder.glob("*.npz")}
    return Tally({at for at in successes if at >= seed}, {at: why for at, why in failures.items() if at >= seed})
