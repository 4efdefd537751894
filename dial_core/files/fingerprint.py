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
        defaults: what settings (`a.b`) are in a folder from before they existed, which names none of them. One that is a mapping is
            left out only as a whole.

    Raises:
        DialError: the folder was started with other settings; the message names every difference.
    """
    file = folder / FINGERPRINT
    now = json.loads(json.dumps(settings))
    # Hidden files are what a killed call had not finished writing, its fingerprint perhaps: nothing was begun yet.
    if not folder.exists() or all(item.name.startswith(".") for item in folder.iterdir()):
        write_json(file, now)
    if not file.exists():
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DialError(f"{file} cannot be read: {error}; choose another --out, or delete {folder} to start over.") from error
    new, old = _flat(now), _flat(before)
    for setting, value in defaults.items():
        if not any(key == setting or key.startswith(f"{setting}.") for key in tuple(old)):
            old |= {key: part for key, part in _flat(value, setting).items() if key in new}
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
