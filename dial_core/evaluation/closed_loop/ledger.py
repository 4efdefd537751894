"""Episodes on disk as they end, so that an interrupted evaluation can be resumed, and shards of one can be joined."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.library_versions import ENGINE, LIBRARIES, joined_versions, library_versions
from dial_core.evaluation.closed_loop.protocol import Protocol, sources_hash
from dial_core.evaluation.closed_loop.rollout import EpisodeResult
from dial_core.evaluation.closed_loop.suites import is_file
from dial_core.files.atomic import write_json
from dial_core.files.fingerprint import FINGERPRINT, require_same
from dial_core.sim.task import load_task

FOLDER, EPISODES = "ledger", "episodes.jsonl"
LOCK = ".lock"  # in FOLDER: two processes that ran the same episodes would leave each of them twice, which no audit lets pass
MAY_CHANGE = [f"versions.{library}" for library in LIBRARIES if library != ENGINE]  # they round otherwise, and the result names both


@dataclass(frozen=True)
class Shard:
    """Part `number` of `of`, counted from 1: every `of`-th scene, so that each part has its share of every task."""

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`2/8` as the command line has it. Raises DialError if it is not K/N with 1 <= K <= N."""
        first, slash, last = text.partition("/")
        if not (slash and first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
            raise DialError(f"shard '{text}' is not K/N with 1 <= K <= N, such as 2/8")
        return cls(int(first), int(last))

    def part(self, cases: Sequence[Case]) -> list[Case]:
        """Its share of the scenes."""
        return list(cases[self.number - 1 :: self.of])


def all_cases(protocol: Protocol) -> list[Case]:
    """The scenes of a protocol in order: every seed of the first task, then of the next."""
    seeds = protocol.seeds or range(protocol.seed, protocol.seed + protocol.episodes)
    return [Case(task, seed) for task in protocol.tasks for seed in seeds]


class Ledger:
    """`<folder>/ledger/`: the settings of an evaluation, and one line of JSON for every finished episode. For one process at a time.

    Attributes:
        results: the finished episodes.
        versions: of the libraries that they ran with; empty if an earlier version of this package began, which noted none.
    """

    def __init__(self, folder: Path, protocol: Protocol, shard: Shard) -> None:
        """Opens the ledger, or creates it.

        Raises:
            DialError: it was created with another protocol, code, shard, content of a task's file or version of MuJoCo; the message names
                every difference.
        """
        self._file, self._now = folder / FOLDER / EPISODES, library_versions()
        settings = {"protocol": protocol.model_dump(mode="json"), "sources": sources_hash(), "shard": str(shard)}
        if own := task_files(protocol):
            settings["task_files"] = own
        settings["versions"] = self._now
        require_same(folder / FOLDER, settings, MAY_CHANGE, defaults={"versions": self._now})
        _cut_off_torn_line(self._file)
        self.results = _read(self._file)
        self.versions = _settings(folder).get("versions", {})

    def keep(self, result: EpisodeResult) -> None:
        """Adds one episode; it is on disk when this returns."""
        self._note_versions()
        self.results.append(result)
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _note_versions(self) -> None:
        """Adds this process's libraries to those that the ledger was begun with."""
        joined = joined_versions([self.versions, self._now])
        if joined != self.versions:
            self.versions = joined
            folder = self._file.parent.parent
            write_json(self._file.with_name(FINGERPRINT), _settings(folder) | {"versions": joined})


def task_files(protocol: Protocol) -> dict[str, str]:
    """Of the tasks that are named by a file: file -> 12 hex digits of what it says, with all that it extends."""
    files = [task for task in protocol.tasks if is_file(task)]
    return {file: hashlib.sha256(load_task(file).model_dump_json().encode()).hexdigest()[:12] for file in files}


@dataclass(frozen=True)
class ShardResults:
    """A shard's ledger as it lies on disk."""

    folder: Path
    protocol: Protocol
    sources: str
    shard: Shard
    task_files: dict[str, str]
    versions: dict[str, str]
    results: list[EpisodeResult]


def read_part(folder: Path) -> ShardResults:
    """The ledger of an evaluation's folder.

    Raises:
        DialError: there is none.
    """
    settings = _settings(folder)
    if not settings:
        file = folder / FOLDER / FINGERPRINT
        raise DialError(f"{folder} holds no evaluation: {file} is missing; give the --out folders of `dial eval --shard K/N`")
    protocol = validate(Protocol, settings["protocol"], source=folder / FOLDER / FINGERPRINT)
    shard, own = Shard.parse(settings["shard"]), settings.get("task_files", {})
    results = _read(folder / FOLDER / EPISODES)
    return ShardResults(folder, protocol, settings["sources"], shard, own, settings.get("versions", {}), results)


def join(folders: Iterable[Path]) -> tuple[Protocol, list[EpisodeResult], dict[str, str]]:
    """The protocol that all shards share, the episodes of all, and the versions of the libraries that they ran with.

    Raises:
        DialError: shards of different evaluations, one missing, or one given twice.
    """
    parts = [read_part(folder) for folder in folders]
    if not parts:
        raise DialError("no shards to join; give the --out folders of `dial eval --shard K/N`")
    first = parts[0]
    for part in parts[1:]:
        for what in ("protocol", "sources", "task_files"):
            if getattr(part, what) != getattr(first, what):
                raise DialError(f"{part.folder} is of another evaluation than {first.folder}: the {what} differ ({part.protocol.hash})")
    _require_one_engine(parts)
    shards, whole = sorted(part.shard.number for part in parts), first.shard.of
    if shards != list(range(1, whole + 1)) or any(part.shard.of != whole for part in parts):
        listed = ", ".join(str(part.shard) for part in parts)
        raise DialError(f"expected every shard 1/{whole} .. {whole}/{whole} once, got {listed}")
    versions = joined_versions([part.versions for part in parts])
    return first.protocol, [result for part in parts for result in part.results], versions


def _require_one_engine(parts: Sequence[ShardResults]) -> None:
    """Checks that all shards that say so ran with one version of MuJoCo."""
    known = [part for part in parts if ENGINE in part.versions]
    for part in known[1:]:
        ours, theirs = known[0].versions[ENGINE], part.versions[ENGINE]
        if ours != theirs:
            raise DialError(f"{part.folder} ran with {ENGINE} {theirs}, {known[0].folder} with {ours}; run one of them again")


def _settings(folder: Path) -> dict[str, Any]:
    """What an evaluation's folder was begun with; empty if it does not say."""
    file = folder / FOLDER / FINGERPRINT
    return json.loads(file.read_text()) if file.is_file() else {}


def _cut_off_torn_line(file: Path) -> None:
    """Removes a line that was being written when the process died; its episode runs again."""
    content = file.read_bytes() if file.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with file.open("r+b") as torn:
            torn.truncate(whole)


def _read(file: Path) -> list[EpisodeResult]:
    """The episodes of the whole lines: one without its end is being written, or was when the process died."""
    content = file.read_bytes() if file.exists() else b""
    return [EpisodeResult(**json.loads(line)) for line in content[: content.rfind(b"\n") + 1].splitlines()]
