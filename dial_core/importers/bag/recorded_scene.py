"""Which simulated scene a recording was made on, as far as it says."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dial_core.config import config_root

_LABEL = re.compile(r"(.+)_(\d{6})")  # as `dial record --expert` labels its bags: task and seed


def scene_of(facts: Mapping[str, str]) -> tuple[str, int | None]:
    """Task and seed that a bag's facts name, by `task` and `seed` or by the label; empty and None if they name none."""
    task, seed = facts.get("task", ""), facts.get("seed", "")
    if task and seed.isdigit():
        return task, int(seed)
    label = _LABEL.fullmatch(facts.get("label", ""))
    if label and (config_root() / "tasks" / f"{label[1]}.yaml").is_file():
        return label[1], int(label[2])
    return "", None
