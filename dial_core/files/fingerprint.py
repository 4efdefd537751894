"""What a folder of unfinished work was begun with, so that other settings never go on in it unnoticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dial_core.errors import DialError

FINGERPRINT = "fingerprint.json"


def require_same(folder: Path, settings: dict[str, Any]) -> None:
    """Makes `folder` if it is new and notes `settings` (JSON values) in it, or checks that it was begun with the same.

    A folder that holds something but no fingerprint, from before there were fingerprints, is taken as it is.

    Raises:
        DialError: it was begun with others; the message names every difference.
    """
    file = folder / FINGERPRINT
    now = json.loads(json.dumps(settings))
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(now, indent=2) + "\n")
    if not file.exists():
        return
    try:
        before = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise DialError(f"{file} cannot be read: {error}; choose another --out, or delete {folder} to begin anew.") from error
    old, new = _flat(before), _flat(now)
    changes = [f"{key} was {old.get(key)}, is now {new.get(key)}" for key in sorted(old | new) if old.get(key) != new.get(key)]
    if changes:
        raise DialError(f"{folder} was begun with other settings: {'; '.join(changes)}. Choose another --out, or the settings of then.")


def _flat(values: Any, key: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    if not isinstance(values, dict):
        return {key: values}
    return {name: value for part, inner in values.items() for name, value in _flat(inner, f"{key}.{part}" if key else part).items()}
