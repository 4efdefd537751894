"""Which code the steps run: the commit of a git checkout and whether it was changed, or the version of an installed package."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import dial_core

_SHOWN = 12  # digits of a commit and of a digest


def running_code(package: Path | None = None) -> str:
    """Returns `commit 8f5ec6128a4b`, `commit 8f5ec6128a4b with changes 1f2e3d4c5b6a`, or `version 0.1.0` outside of a git checkout.

    Changes count in the package and in `config` beside it; their digest is of all files that the commit does not hold as they are.

    Args:
        package: its folder; this one's by default.
    """
    package = package or Path(dial_core.__file__).resolve().parent
    # A package that was installed into an environment below somebody's own repository is no part of that one.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None or (commit := _git(package, "rev-parse", "HEAD")) is None:
        return f"version {dial_core.__version__}"
    root = package.parent
    changed = _git(root, "diff", "--name-only", "--relative", "-z", "HEAD", "--", package.name, "config") or ""
    added = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", package.name, "config") or ""
    code, names = f"commit {commit.strip()[:_SHOWN]}", sorted({name for name in (changed + added).split("\0") if name})
    return f"{code} with changes {_digest(root, names)}" if names else code


def _digest(root: Path, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        try:
            content = (root / name).read_bytes()
        except OSError:
            content = b"deleted"
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:_SHOWN]


def _git(folder: Path, *words: str) -> str | None:
    """The output of a git command; None if it fails or there is no git."""
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}  # whoever works in the checkout meanwhile is not disturbed
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="surrogateescape", env=environment, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
