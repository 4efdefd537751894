"""What `dial convert egodex` would use of recordings, from one recording of each task and the names of the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import h5py

from dial_core.errors import DialError
from dial_core.importers.egodex.egodex_conversion import EgoDexConversion, video_beside
from dial_core.importers.egodex.recording import RATE_HZ, find_recordings, read_recording
from dial_core.importers.found import Found, FoundGroup, grouped
from dial_core.observation.camera_view import in_words


def find_in_recordings(sources: Sequence[Path], settings: EgoDexConversion) -> Found:
    """Groups recordings by task, and those without a video or that cannot be read by their reason."""
    found: list[FoundGroup] = []
    for _, files in groupby(find_recordings(sources), key=lambda file: file.parent):
        whole = [file for file in files if not _lacks_video(file, found)]
        if whole:
            found.append(_look_at(whole, settings))
    return Found("recordings", "recordings", grouped(found))


def _lacks_video(file: Path, found: list[FoundGroup]) -> bool:
    try:
        video_beside(file)
    except DialError as error:
        found.append(FoundGroup([f"{file.parent.name}/{file.stem}"], problem=str(error).replace(file.stem, "N")))
        return True
    return False


def _look_at(files: Sequence[Path], settings: EgoDexConversion) -> FoundGroup:
    """All recordings of a task, described by the first that can be read."""
    names, body = [f"{file.parent.name}/{file.stem}" for file in files], settings.body()
    for file in files:
        try:
            recording = read_recording(file)
        except DialError as error:
            problem = str(error)
            continue
        with h5py.File(file, "r", locking=False) as opened:
            joints = len(opened["transforms"]) - 3
            sure = "confidences/leftHand" in opened
        same_rate = body.rate_hz == RATE_HZ
        uses = [
            ("head camera", f"N.mp4, stored {in_words(settings.view())}"),
            ("state", f"wrists of transforms/leftHand and rightHand in the frame '{settings.frame}'"),
            ("action", f"the next state; {RATE_HZ:g} Hz, " + ("every frame" if same_rate else f"brought to {body.rate_hz:g} Hz")),
            ("mask", f"confidences below {settings.min_confidence:g}" if sure else "none: there are no confidences"),
            ("instruction", f"e.g. {recording.instruction!r}"),
        ]
        unused = {"transforms of other joints": "the embodiment 'human' has wrists only"} if joints > 0 else {}
        return FoundGroup(names, uses, unused, {uses[0][1]: len(files)})
    return FoundGroup(names, problem=problem)
