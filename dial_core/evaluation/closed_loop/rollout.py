"""Episodes of a policy in simulation without ROS: judged at every control step, parallel as serial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dial_core.evaluation.closed_loop.arena import Arena, Case
from dial_core.evaluation.closed_loop.episode_video import EpisodeVideo
from dial_core.evaluation.closed_loop.policies import Policy, PolicySource, make_policy
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.suites import make_arena, working_hand
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs

_arenas: dict[str, Arena] = {}
_policies: dict[str, Policy] = {}
ARENAS_KEPT = 4  # a compiled world with its renderer is large, and workers come back to a task soon or never


@dataclass(frozen=True)
class EpisodeJob:
    """One episode: the protocol, who acts, its scene, and where a video goes, if at all."""

    protocol: Protocol
    source: PolicySource
    case: Case
    video: Path | None = None


@dataclass(frozen=True)
class EpisodeResult:
    """How one episode ended, with what an audit needs to hold against it.

    Attributes:
        task, seed: the scene that was asked for.
        scene, ended: 12 hex digits of the scene that was put up, and of how it stood at the end.
        instruction: what that scene asks for.
        received_instruction: what the policy was given.
        success: the task was done for `hold_steps` control steps in a row.
        steps: control steps run, by the simulation's clock.
        judged: how often success was judged.
        faults: what was wrong with the scene before the robot had moved.
        done: stretches [first, last] of control steps (from 1) at whose ends the task was judged done.
        objects: how many were in the scene.
        hand: which one does the task; empty where the suite does not tell, and after a crash.
        named_moved, other_moved: which stood in the target at the end.
        foresight_age_s: mean age of the foresights acted on [s].
        error: what crashed, if it did; a crash is a failure.
    """

    task: str
    seed: int
    scene: str = ""
    ended: str = ""
    instruction: str = ""
    received_instruction: str = ""
    success: bool = False
    steps: int = 0
    judged: int = 0
    done: list[list[int]] = field(default_factory=list)
    objects: int = 1
    hand: str = ""
    named_moved: bool = False
    other_moved: bool = False
    foresight_age_s: float | None = None
    faults: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def case(self) -> Case:
        """The scene that was asked for."""
        return Case(self.task, self.seed)


def run_cases(
    protocol: Protocol,
    source: PolicySource,
    cases: Sequence[Case],
    workers: int,
    keep: Callable[[EpisodeResult], None],
    videos: dict[Case, Path] | None = None,
    done: int = 0,
) -> None:
    """Runs one episode of every case and hands each result to `keep` as it comes; a crash comes as a failure.

    Args:
        protocol, source: how, and who acts.
        cases: what is left to do.
        workers: processes; 0 works in this one.
        keep: takes a result, in the order in which episodes end.
        videos: which cases to film, and where to.
        done: cases that were done before, for the progress bar.

    Raises:
        ConnectionLostError: the policy's server is gone, which fails no episode; what has ended was kept.
        EndOfJobsError, DiskFullError: as `run_jobs`.
    """
    jobs = [EpisodeJob(protocol, source, case, (videos or {}).get(case)) for case in cases]
    successes = ended = 0
    title = f"{protocol.policy} {protocol.foresight}" if protocol.policy == "checkpoint" else protocol.policy
    with progress_bar(f"episodes of {title}", done + len(cases), done) as advance:
        for result in run_jobs(run_episode, jobs, workers, retries=0):  # a crash is a failure, on Ray as here
            case = result.job.case
            episode = result.value or EpisodeResult(case.task, case.seed, error=result.error or "no result")
            keep(episode)
            ended, successes = ended + 1, successes + episode.success
            advance(1, f"{successes} of {ended} succeeded")


def run_episode(job: EpisodeJob) -> EpisodeResult:
    """Runs one episode until success has lasted, or the task's last step; a video that fails is a warning on standard error.

    After an error the simulation is created again for the next episode: it may be dead, or out of step.
    """
    try:
        return _play(job, _arena(job), _policy(job))
    except Exception:
        if arena := _arenas.pop(_arena_key(job), None):
            arena.close()
        raise


def _play(job: EpisodeJob, arena: Arena, policy: Policy) -> EpisodeResult:
    arena.reset(job.case.seed, other=job.protocol.instruct == "other")
    instruction, scene = arena.instruction, arena.scene_id()
    policy.begin(arena, job.case.seed, instruction)
    video, verdicts = EpisodeVideo(job.video), Verdicts(job.protocol.hold_steps)
    for step in range(1, arena.max_steps + 1):
        video.take(arena)
        done = arena.advance(policy.targets(arena.observe(policy.needs_image)))
        if step % job.protocol.judging_steps == 0 or step == arena.max_steps:
            verdicts.add(step, done)
        if verdicts.success:
            break
    outcome = arena.outcome()
    result = EpisodeResult(
        task=job.case.task,
        seed=job.case.seed,
        scene=scene,
        ended=arena.scene_id(),
        instruction=instruction,
        received_instruction=policy.received_instruction,
        success=verdicts.success,
        steps=arena.steps,
        judged=verdicts.count,
        done=verdicts.done,
        objects=outcome.objects,
        hand=working_hand(job.protocol.suite, job.case),
        named_moved=outcome.named,
        other_moved=outcome.other,
        faults=list(outcome.faults),
        foresight_age_s=None if policy.foresight_age_s is None else round(policy.foresight_age_s, 4),
    )
    video.write(arena.embodiment.rate_hz)
    return result


class Verdicts:
    """The judgements of an episode: `count` of them, and `done`, the stretches [first, last] of control steps judged done."""

    def __init__(self, hold_steps: int) -> None:
        self._hold_steps = hold_steps
        self.count, self.done = 0, list[list[int]]()
        self._last: tuple[int, bool] = (0, False)

    @property
    def success(self) -> bool:
        """Whether the last `hold_steps` control steps were all judged done."""
        return self._last[1] and self.done[-1][1] - self.done[-1][0] + 1 >= self._hold_steps

    def add(self, step: int, done: bool) -> None:
        """A judgement at the end of control step `step`, counted from 1."""
        self.count += 1
        if done and self._last == (step - 1, True):
            self.done[-1][1] = step
        elif done:
            self.done.append([step, step])
        self._last = (step, done)


def _arena_key(job: EpisodeJob) -> str:
    return f"{job.protocol.suite} {job.case.task} {job.protocol.camera} {job.protocol.image_px} {job.protocol.settle_steps}"


def _arena(job: EpisodeJob) -> Arena:
    key = _arena_key(job)
    if key not in _arenas:
        while len(_arenas) >= ARENAS_KEPT:
            _arenas.pop(next(iter(_arenas))).close()
        _arenas[key] = make_arena(job.protocol.suite, job.case.task, job.protocol.camera, job.protocol.image_px, job.protocol.settle_steps)
    return _arenas[key]


def _policy(job: EpisodeJob) -> Policy:
    key = f"{job.protocol.hash} {job.source}"
    if key not in _policies or job.source.served:  # a connection an episode: what is served may have changed
        _policies.clear()
        _policies[key] = make_policy(job.protocol, job.source)
    return _policies[key]
