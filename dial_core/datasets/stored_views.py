"""`meta/views.json`: how a dataset's frames were fitted when they were stored, by camera. No entry: the camera's own images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.observation.camera_view import StoredView

VIEWS_FILE = "meta/views.json"


def read_stored_views(dataset: Path) -> dict[str, StoredView]:
    """The dataset's stored views by camera name; empty if it has none.

    Raises:
        DialError: the file cannot be read, or says something else.
    """
    file = dataset / VIEWS_FILE
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text())
        return {name: validate(StoredView, {"name": name, **entry}, source=file) for name, entry in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DialError(f"{file} cannot be read: {error}; restore it, or convert the dataset again") from error


def write_stored_views(dataset: Path, views: Mapping[str, StoredView]) -> None:
    """Writes the stored views of a dataset under construction; nothing if there are none."""
    if views:
        content = {name: view.model_dump(mode="json", exclude={"name"}) for name, view in views.items()}
        write_json(dataset / VIEWS_FILE, content)
