"""Episodes of a policy in simulation without ROS: judged at every control step, parallel as serial."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dial_core.data.progress import progress_bar
from dial_core.data.video import write_video
from dial_core.data.workers import run_jobs
from dial_core.evaluation.policies import Policy, make_policy
from dial_core.evaluation.protocol import Protocol
from dial_core.sim.objects import load_object
from dial_core.sim.scene import sample_scene
from dial_core.sim.task import load_task
from dial_core.sim.world import World

# Success counts when it lasted this many control steps in a row (0.5 s): a toppling object passes through.
SUCCESS_STEPS = 10

_kept: dict[str, tuple[World, Policy]] = {}


@dataclass(frozen=True)
class EpisodeJob:
    """One episode: the protocol, its scene, and where a video goes, if at all."""

    protocol: Protocol
    checkpoint: Path | None
    seed: int
    video: Path | None = None


@dataclass(frozen=True)
class EpisodeResult:
    """How one episode ended.

    Attributes:
        success: the named object stood at rest in the target, hand away, for 0.5 s.
        objects: how many were in the scene.
        named_moved, other_moved: which stood in the target at the end.
        steps: control steps used.
        error: what crashed, if it did; a crash is a failure.
    """

    seed: int
    instruction: str
    success: bool
    objects: int
    named_moved: bool
    other_moved: bool
    steps: int
    error: str | None = None


def run_episodes(
    protocol: Protocol, checkpoint: Path | None, workers: int, videos: Path | None = None, count: int = 0
) -> list[EpisodeResult]:
    """All episodes of a protocol, in the order of their seeds; the first `count` leave an mp4 in `videos`."""
    jobs = []
    for index in range(protocol.episodes):
        seed = protocol.seed + index
        video = videos / f"seed-{seed}.mp4" if videos and index < count else None
        jobs.append(EpisodeJob(protocol, checkpoint, seed, video))
    results = []
    title = f"{protocol.policy} {protocol.foresight}" if protocol.policy == "checkpoint" else protocol.policy
    with progress_bar(f"episodes of {title}", protocol.episodes) as advance:
        for done in run_jobs(run_episode, jobs, workers):
            results.append(done.value or _crashed(done.job, done.error or ""))
            advance(1, f"{sum(result.success for result in results)} of {len(results)} succeeded")
    return sorted(results, key=lambda result: result.seed)


def run_episode(job: EpisodeJob) -> EpisodeResult:
    """Runs one episode until success has lasted, or the task's last step."""
    world, policy = _world_and_policy(job)
    _reset(world, job.protocol, job.seed)
    policy.begin(world)
    frames: list[np.ndarray] = []
    steps = held = 0
    while held < SUCCESS_STEPS and steps < world.task.max_steps:
        image = world.render(job.protocol.camera)
        if job.video:
            frames.append(world.render(job.protocol.camera, 384, 384))
        world.advance(policy.targets(world, image), 1.0 / world.embodiment.rate_hz)
        held = held + 1 if world.success() else 0
        steps += 1
    if job.video:
        write_video(job.video, frames, world.embodiment.rate_hz)
    moved = set(world.moved_objects())
    named = world.scene.target
    return EpisodeResult(
        seed=job.seed,
        instruction=world.instruction,
        success=held == SUCCESS_STEPS,
        objects=len(world.scene.objects),
        named_moved=named in moved,
        other_moved=bool(moved - {named}),
        steps=steps,
    )


def _reset(world: World, protocol: Protocol, seed: int) -> None:
    world.reset(seed)
    if protocol.instruct == "other" and len(world.scene.objects) > 1:
        world.reset(seed, target=(world.scene.target + 1) % len(world.scene.objects))


def _world_and_policy(job: EpisodeJob) -> tuple[World, Policy]:
    key = f"{job.protocol.hash} {job.checkpoint}"
    if key not in _kept:
        _kept.clear()
        _kept[key] = (World(job.protocol.task), make_policy(job.protocol, job.checkpoint))
    return _kept[key]


def _crashed(job: EpisodeJob, error: str) -> EpisodeResult:
    """A failure, counted among the scenes with as many objects as its own; no world is needed to know how many."""
    task = load_task(job.protocol.task)
    scene = sample_scene(task, {name: load_object(name) for name in task.object_types}, job.seed)
    return EpisodeResult(job.seed, "", False, len(scene.objects), False, False, 0, error)
