"""Attempts at demonstrations on disk: a file for each success, a note for each failure; nothing is ever half there.

<folder>/fingerprint.json             what is collected: tasks and what they say, seeds, shares, which shard, by which code
<folder>/<task>/<seed>.npz            a successful episode
<folder>/<task>/<seed>.failed         what ended a failed one
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from dial_core.files.atomic import write_text
from dial_core.files.fingerprint import require_same


@dataclass
class Tally:
    """Outcomes of one task's attempts so far: successful seeds, and what ended the failed ones."""

    successes: set[int] = field(default_factory=set)
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason ended an attempt."""
        return dict(Counter(self.failures.values()))

    @property
    def tried(self) -> set[int]:
        """All seeds attempted."""
        return self.successes | set(self.failures)

    def first(self, episodes: int) -> list[int]:
        """The `episodes` smallest successful seeds."""
        return sorted(self.successes)[:episodes]


class Attempts:
    """A folder of attempts, new or resumed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def require(self, settings: dict, unknown_before: dict) -> None:
        """Starts the folder with `settings`, or checks that it was started with the same.

        `unknown_before`: of those that folders of earlier versions do not name.

        Raises:
            DialError: it was started with others.
        """
        require_same(self.folder, settings, defaults=unknown_before)

    def episode(self, task: str, seed: int) -> Path:
        """File of a success."""
        return self.folder / task.replace("/", "-") / f"{seed:06d}.npz"

    def note_failure(self, task: str, seed: int, reason: str) -> None:
        """Stores what ended an attempt."""
        note = self.episode(task, seed).with_suffix(".failed")
        write_text(note, reason)

    def tally(self, task: str) -> Tally:
        """Outcomes of `task` so far."""
        folder = self.episode(task, 0).parent
        failures = {int(path.stem): path.read_text() for path in folder.glob("*.failed")}
        return Tally({int(path.stem) for path in folder.glob("*.npz")}, failures)
