"""The clone that a benchmark runs from: its commit, the patches that setup applies, and whatever else was changed in it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dial_core.errors import DialError
from dial_core.files.atomic import write_text

# DIAL's README requires that split B draws no `basket_4` of the category basket (a tiered_basket_4 stays): where the list of a
# category's models is cut for split B, that one is left out. Ours is one line after the cut, which also stands an empty list.
BASKET_CUT = "                    reg_choices = reg_choices[split_th:]\n"
BASKET_LINE = (
    "                    reg_choices = [path for path in reg_choices if not path.endswith('sketchfab/basket/basket_4/model.xml')]\n"
)
BASKET_FILE = "robocasa/models/objects/kitchen_object_utils.py"


@dataclass(frozen=True)
class Patch:
    """A change of one file; `change` makes its new text of the old one, or raises DialError for another version of the file."""

    file: str
    change: Callable[[str], str]


def _without_basket_4(text: str) -> str:
    if text.count(BASKET_CUT) != 1:
        raise DialError(f"expected one line '{BASKET_CUT.strip()}' to patch, found {text.count(BASKET_CUT)}; is it another version?")
    return text.replace(BASKET_CUT, BASKET_CUT + BASKET_LINE)


PATCHES = {"basket_4": Patch(BASKET_FILE, _without_basket_4)}


def apply_patch(name: str, clone: Path) -> bool:
    """Applies a patch to the clone; returns whether anything had to be changed.

    Raises:
        DialError: the source is another one than the patch was made for, or somebody changed the file.
    """
    patch = PATCHES[name]
    path, committed = clone / patch.file, _committed(clone, patch.file)
    found = path.read_text(encoding="utf-8")
    try:
        patched = patch.change(committed)
    except DialError as error:
        raise DialError(f"{path}: {error}") from error
    if found == patched:
        return False
    if found != committed:
        raise DialError(f"{path} was changed by hand; `git -C {clone} checkout {patch.file}` undoes it, then run this again")
    write_text(path, patched)
    return True


def source_state(clone: Path, patches: Sequence[str]) -> dict:
    """`commit` of the clone, which of `patches` are applied, and by name the hash of every Python file that differs otherwise.

    Files that git does not track count if they are Python; assets are hashed on their own.

    Raises:
        DialError: `clone` is no git clone.
    """
    differing = _git(clone, "diff", "--name-only", "-z", "HEAD") + _git(clone, "ls-files", "--others", "-z", "--", "*.py")
    applied = {name: _is_applied(PATCHES[name], clone) for name in patches}
    explained = {PATCHES[name].file for name, there in applied.items() if there}
    others = sorted({name for name in differing.split("\0") if name} - explained)
    commit = _git(clone, "rev-parse", "HEAD").strip()
    return {"commit": commit, "patches": applied, "changed": {name: _hash(clone / name) for name in others}}


def _is_applied(patch: Patch, clone: Path) -> bool:
    try:
        return (clone / patch.file).read_text(encoding="utf-8") == patch.change(_committed(clone, patch.file))
    except (DialError, OSError):
        return False


def _committed(clone: Path, file: str) -> str:
    return _git(clone, "show", f"HEAD:{file}")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "deleted"


def _git(clone: Path, *words: str) -> str:
    """The output of a git command in the clone."""
    try:
        done = subprocess.run(["git", "-C", str(clone), *words], capture_output=True, text=True, encoding="utf-8", check=False)
    except FileNotFoundError as error:
        raise DialError("git is missing; install it: the benchmark's commit goes into the hash of its results") from error
    if done.returncode:
        raise DialError(f"{clone} is no git clone ({done.stderr.strip()}); move it away and run `dial robocasa setup`")
    return done.stdout
