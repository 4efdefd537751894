"""Previews of a dataset: a contact sheet and a few videos in `previews/`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dial_core.datasets.lerobot import EpisodeSpan, LeRobotDataset
from dial_core.datasets.video import write_video

FRAMES = 6  # an episode, evenly from its first to its last
CELL_PX = 128
CAPTION_PX = 16
ROWS_AT_MOST = 48
VIDEOS = 6


def write_previews(folder: Path) -> None:
    """`previews/contact_sheet.png`: a row of images for one episode of each task; `previews/<task>.mp4` of a few."""
    dataset = LeRobotDataset(folder)
    shown = _one_of_each(dataset)
    rows = [_row(dataset, span) for span in shown[:ROWS_AT_MOST]]
    (folder / "previews").mkdir(exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(folder / "previews/contact_sheet.png")
    for span in shown[:: max(1, len(shown) // VIDEOS)][:VIDEOS]:
        name = str(span.facts.get("task", "episode")).replace("/", "-")
        write_video(folder / f"previews/{name}-{span.seed}.mp4", dataset.frames(span), dataset.rate_hz)


def _one_of_each(dataset: LeRobotDataset) -> list[EpisodeSpan]:
    """The first episode of every task; of a single task the first few."""
    first: dict[str, EpisodeSpan] = {}
    for span in dataset.episodes:
        first.setdefault(str(span.facts.get("task")), span)
    return list(first.values()) if len(first) > 1 else dataset.episodes[:VIDEOS]


def _row(dataset: LeRobotDataset, span: EpisodeSpan) -> np.ndarray:
    frames = dataset.frames(span)[np.linspace(0, span.length - 1, FRAMES).round().astype(int)]
    row = Image.new("RGB", (FRAMES * CELL_PX, CELL_PX + CAPTION_PX), (24, 24, 28))
    for index, frame in enumerate(frames):
        row.paste(Image.fromarray(frame).resize((CELL_PX, CELL_PX)), (index * CELL_PX, CAPTION_PX))
    text = f"{span.facts.get('task', '')}  seed {span.seed}: {span.instruction}"
    ImageDraw.Draw(row).text((4, 2), text, fill=(235, 235, 235))
    return np.asarray(row)
