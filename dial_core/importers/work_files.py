"""Names of the files of unfinished imports, and digests by which a resumed import recognises finished work that still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dial_core.errors import DialError
from dial_core.files.code_digest import code_digest, code_of
from dial_core.files.fingerprint import FINGERPRINT


def work_stem(file: Path, number: int = 0) -> str:
    """Name of the work files of a job that is made from number `number` of `file`."""
    return f"{file.stem}-{_digest(f'{file.absolute()} {number}')}"


@cache
def digest_of_converter(module: str) -> str:
    """Digest of a converter's module and of all that it imports: another version may convert the same source to other episodes."""
    return code_digest(code_of(module), ())


def state_of(sources: Sequence[Path], made_with: str = "") -> str:
    """Digest of `made_with`, and of sizes and times of files, or of the files directly in folders: another one after each change."""
    return _digest(" ".join([made_with, *(_facts(file) for source in sources for file in _files_of(source))]))


def require_fingerprint(folder: Path) -> None:
    """Checks that it is known with which settings the work in a folder was begun; one that is missing or empty has none.

    Raises:
        DialError: it holds files but no fingerprint.
    """
    if (folder / FINGERPRINT).exists() or not folder.is_dir():
        return
    if any(not item.name.startswith(".") for item in folder.iterdir()):  # hidden: of a call that was killed while it wrote the first file
        raise DialError(
            f"{folder} holds files but no {FINGERPRINT}: an earlier version left them, or another program. Move it away or delete it, then "
            "run the same command again"
        )


def remove_stale(folder: Path, reports: Sequence[Path]) -> None:
    """Deletes `reports` that no longer hold, and the episodes in `folder` that no other report names."""
    for report in reports:
        report.unlink(missing_ok=True)
    claimed = {name for file in folder.glob("*.json") for name in json.loads(file.read_text(encoding="utf-8")).get("episodes", ())}
    for episode in folder.glob("*.npz"):
        if episode.name not in claimed:
            episode.unlink()


def _files_of(source: Path) -> list[Path]:
    try:
        return sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else [source]
    except OSError:
        return [source]


def _facts(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:  # whoever reads it says why
        return f"{file.name} missing"
    return f"{file.name} {status.st_size} {status.st_mtime_ns}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]  # names of files may be any bytes
