"""Folders below a folder, those behind symbolic links included: data often lies on another disk."""

from __future__ import annotations

import os
from pathlib import Path


def folders_below(folder: Path) -> list[Path]:
    """`folder` and all folders below it, in order of their names; hidden ones are left out, and a loop of links is entered once."""
    found, seen = [], set()
    for path, names, _ in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        found.append(Path(path))
    return sorted(found)
