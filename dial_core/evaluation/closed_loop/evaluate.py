"""One evaluation from protocol to summary: resumable, in shards if wanted, audited before anything is reported."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from dial_core.errors import ConnectionLostError, DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.audit import require_sound
from dial_core.evaluation.closed_loop.benchmark import benchmark_of, environment_facts, environment_id
from dial_core.evaluation.closed_loop.ledger import FOLDER, LOCK, Ledger, Shard, all_cases, join
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import run_cases
from dial_core.evaluation.closed_loop.suites import is_file, suite_tasks
from dial_core.evaluation.reports.result_page import summarise
from dial_core.files.folder_lock import folder_lock


def prepare(protocol: Protocol, source: PolicySource) -> Protocol:
    """The protocol with the ids of policy and benchmark environment, once everything that can be known before the first episode fits.

    Raises:
        DialError: an unknown suite or task, a benchmark that is not installed, no checkpoint, or one that the protocol does not fit.
    """
    known = suite_tasks(protocol.suite)
    unknown = [task for task in protocol.tasks if task not in known and not is_file(task)]
    if unknown:
        raise DialError(f"suite '{protocol.suite}' has no task {', '.join(unknown)}; its tasks: {', '.join(known)}; or name a YAML file")
    benchmark = benchmark_of(protocol.suite)
    environment = environment_id(environment_facts(benchmark)) if benchmark else ""
    return protocol.model_copy(update={**source.facts(protocol), "environment": environment})


def evaluate(protocol: Protocol, source: PolicySource, out: Path, workers: int, videos: int = 0, shard: Shard | None = None) -> dict:
    """Runs what is left of an evaluation and summarises all of it.

    Args:
        protocol: as `prepare` gave it.
        source: who acts.
        out: its folder; episodes that are there already are not run again.
        workers: processes.
        videos: episodes of each task to film, in `out/videos`.
        shard: which part of the scenes; all of them without.

    Raises:
        DialError: the folder belongs to another evaluation, another process works in it, or the results do not pass the audit.
        ConnectionLostError: the policy's server is gone; the same call resumes.
    """
    with folder_lock(out / FOLDER, "dial eval", LOCK):
        return _evaluate(protocol, source, out, workers, videos, shard or Shard())


def _evaluate(protocol: Protocol, source: PolicySource, out: Path, workers: int, videos: int, shard: Shard) -> dict:
    """As `evaluate`, alone in the folder."""
    started_s = time.monotonic()
    cases = shard.part(all_cases(protocol))
    ledger = Ledger(out, protocol, shard)
    ended = {result.case for result in ledger.results}
    todo = [case for case in cases if case not in ended]
    if todo:
        films = _films(cases, videos, out / "videos")
        try:
            run_cases(protocol, source, todo, workers, ledger.keep, films, done=len(cases) - len(todo))
        except ConnectionLostError as error:
            kept = f"{len(ledger.results)} of {len(cases)} episodes are kept"
            raise ConnectionLostError(f"{error}; {kept}: start the server again, and the same command resumes there") from error
    require_sound(protocol, cases, ledger.results)
    return summarise(protocol, ledger.results, time.monotonic() - started_s, ledger.versions, str(shard))


def merge(folders: Sequence[Path]) -> dict:
    """The summary of an evaluation whose shards ran apart, equal to that of one that ran in one piece.

    Raises:
        DialError: the shards are not all of one evaluation, or the joined results do not pass the audit.
    """
    protocol, results, versions = join(folders)
    require_sound(protocol, all_cases(protocol), results)
    return summarise(protocol, results, wall_s=0.0, versions=versions)


def _films(cases: Sequence[Case], count: int, folder: Path) -> dict[Case, Path]:
    """The first `count` scenes of every task, and where their videos go."""
    films: dict[Case, Path] = {}
    for task in dict.fromkeys(case.task for case in cases):
        for case in [case for case in cases if case.task == task][:count]:
            films[case] = folder / f"{task.replace('/', '_')}-{case.seed}.mp4"
    return films
