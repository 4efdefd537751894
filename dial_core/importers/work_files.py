"""By what the finished work of an interrupted import is known again."""

from __future__ import annotations

import hashlib
from pathlib import Path


def work_stem(file: Path, number: int = 0) -> str:
    """Name of the work files of a job that is made from number `number` of `file`."""
    return f"{file.stem}-{_digest(f'{file.absolute()} {number}')}"


def state_of(source: Path) -> str:
    """Digest of sizes and times of a file, or of the files directly in a folder: another one after each change."""
    try:
        files = sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else [source]
    except OSError:
        files = [source]
    return _digest(" ".join(_facts(file) for file in files))


def _facts(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:  # whoever reads it says why
        return f"{file.name} missing"
    return f"{file.name} {status.st_size} {status.st_mtime_ns}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
