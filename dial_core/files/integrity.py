"""Detects truncated and empty files by their own format, as a power cut or a full disk leaves them, before they are loaded."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

from dial_core.errors import DialError

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_ZIPPED = {".pt", ".pth", ".bin", ".npz"}  # torch.save and numpy.savez


def damage_in(folder: Path) -> str:
    """Returns what is wrong with the first damaged file below `folder`; empty if all are complete, `empty folder` if there is none."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        return "empty folder"
    return next((f"{path.relative_to(folder)}: {fault}" for path in files if (fault := damage_of(path))), "")


def damage_of(file: Path) -> str:
    """Returns what is wrong with a file (empty, truncated, unreadable); empty if nothing is, or its format does not show it."""
    try:
        size = file.stat().st_size
        if not size:
            return "empty" if file.suffix in _ZIPPED | {".safetensors", ".json", ".distcp"} else ""
        if file.suffix == ".safetensors":
            return _safetensors_damage(file, size)
        if file.suffix in _ZIPPED and not zipfile.is_zipfile(file):
            with file.open("rb") as opened:  # older torch.save files are pickles, which do not state their length
                return "cut off" if opened.read(2) == b"PK" else ""
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    return ""


def require_content(file: Path, data: bytes | None = None) -> None:
    """Raises DialError if a file is empty or only a Git LFS pointer to its content."""
    if data is None:
        try:
            with file.open("rb") as opened:
                data = opened.read(len(LFS_POINTER))
        except OSError:
            return
    if data.startswith(LFS_POINTER):
        raise DialError(f"{file} is a Git LFS pointer, not the file itself; fetch the content with `git lfs pull`")
    if not data:
        raise DialError(f"{file} is empty")


def _safetensors_damage(file: Path, size: int) -> str:
    """Compares the size with the header (8 bytes of length, JSON, data), which states where the last tensor ends."""
    with file.open("rb") as opened:
        length = struct.unpack("<Q", opened.read(8))[0] if size >= 8 else size
        if length > size - 8:
            return f"cut off at {size} bytes"
        header = json.loads(opened.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    whole = 8 + length + max(ends, default=0)
    return f"{size} of {whole} bytes" if size < whole else ""
