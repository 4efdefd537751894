"""The folder in which every episode gets a folder: made, named, and its free space, with an answer for whatever the disk refuses."""

import re
import shutil
from pathlib import Path

from dial_core.bags.layout import BagError

MIB = 2**20
LONGEST_LABEL = 100  # [characters]: file systems allow 255 bytes a name, and a bag's files are named <label>_<number>.mcap
LONGEST_NOTE = 10_000  # [characters] of a note or an instruction, which every file of a bag repeats
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NUMBERED = re.compile(r"episode_(\d+)")


class RecordingFolder:
    """A folder of bags. It may vanish at any time: a disk is unplugged, somebody tidies up."""

    def __init__(self, path: Path) -> None:
        """Nothing is made yet. `path`: `~` is expanded."""
        self.path = path.expanduser().absolute()

    def make(self) -> None:
        """Makes the folder where it is missing. Raises BagError if that cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BagError(f"the folder {self.path} cannot be made: {error}; set `directory` to one that can be written") from error

    def free_mb(self) -> float:
        """Free disk space [MiB]. Raises BagError if the folder is gone."""
        try:
            return shutil.disk_usage(self.path).free / MIB
        except OSError as error:
            raise BagError(f"the folder {self.path} is gone: {error}") from error

    def bag(self, label: str) -> Path:
        """Folder of the episode `label`, not made yet; for an empty label that of the next number. Raises BagError."""
        if not label:
            return self.path / self._next_label()
        if not _LABEL.fullmatch(label):
            raise BagError(f"label '{label[:LONGEST_LABEL]}' cannot name a folder; use letters, digits, dot, dash and underscore")
        if len(label) > LONGEST_LABEL:
            raise BagError(f"the label has {len(label)} characters, at most {LONGEST_LABEL} name a folder; shorten it")
        return self.path / label

    def _next_label(self) -> str:
        try:
            taken = [_NUMBERED.fullmatch(path.name) for path in self.path.iterdir()]
        except OSError as error:
            raise BagError(f"the folder {self.path} cannot be read: {error}") from error
        return f"episode_{max((int(match[1]) for match in taken if match), default=-1) + 1:03d}"


def require_short(text: str, what: str) -> None:
    """Raises BagError if a text is too long to be kept with an episode; `what` names it."""
    if len(text) > LONGEST_NOTE:
        raise BagError(f"the {what} has {len(text)} characters, at most {LONGEST_NOTE} are kept; shorten it")
