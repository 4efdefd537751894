"""The fingerprint of the inputs of unfinished work, so that it is never resumed with other settings."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dial_core.errors import DialError
from dial_core.files.atomic import write_json

FINGERPRINT = "fingerprint.json"


def require_same(
    folder: Path, settings: dict[str, Any], may_change: Collection[str] = (), defaults: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Stores `settings` (JSON values) in a new `folder`, or checks that a folder of unfinished work has the same ones.

    A folder that holds something but no fingerprint, from before there were fingerprints, is accepted as it is.

    Args:
        may_change: settings (`a.b`) that may differ, as they change no result.
        defaults: what settings are that a folder from before they existed does not name, nested as `settings` are.

    Raises:
        DialError: the folder was started with other settings; the message names every difference.
    """
    file = folder / FINGERPRINT
    now = json.loads(json.dumps(settings))
    if not folder.exists() or not any(folder.iterdir()):
        write_json(file, now)
    if not file.exists():
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DialError(f"{file} cannot be read: {error}; choose another --out, or delete {folder} to start over.") from error
    new = _flat(now)
    old = {key: value for key, value in _flat(dict(defaults)).items() if key in new} | _flat(before)
    changes = [
        f"{key} was {old.get(key)}, is now {new.get(key)}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key) and key not in may_change
    ]
    if changes:
        raise DialError(
            f"{folder} was started with other settings: {'; '.join(changes)}. Choose another --out, or the settings it was started with."
        )


def _flat(values: Any, key: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    if not isinstance(values, dict):
        return {key: values}
    return {name: value for part, inner in values.items() for name, value in _flat(inner, f"{key}.{part}" if key else part).items()}
