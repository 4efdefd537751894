"""The figures of the page: success by method and suite, by task, over demonstrations; a sheet and a film of the episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dial_core.datasets.video import last_frame, read_video, write_video
from dial_core.evaluation.reports.plots import draw_groups, pyplot_without_window, with_whiskers
from dial_core.files.atomic import atomic_write

COLOURS = ("#4477aa", "#cc6633", "#228833", "#aa3377", "#66ccee", "#ccbb44", "#ee6677", "#777777")
SUCCESS_RGB, FAILURE_RGB = (40, 150, 70), (190, 50, 50)
CELL_PX, BORDER_PX, CAPTION_PX = 160, 4, 18
FILM_HZ = 20.0


def figure_file(folder: Path, title: str) -> Path:
    """Where the figure of this title lies in a page's folder."""
    name = "".join(letter if letter.isalnum() else "_" for letter in title.lower()).strip("_")
    return folder / f"{name}.png"


def figure_lines(folder: Path, title: str, draw: Callable[[Path], None] | None) -> Iterator[str]:
    """The lines that show a figure on the page beside its folder; drawn first, unless `draw` is None."""
    file = figure_file(folder, title)
    if draw:
        folder.mkdir(parents=True, exist_ok=True)
        draw(file)
    yield from (f"![{title}]({folder.name}/{file.name})", "")


def draw_methods(rates: Mapping[str, Mapping[str, dict]], file: Path, title: str) -> None:
    """Success rates with 95 % intervals: method -> scenes -> count. One group of bars for each of the scenes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_groups(rates, file, title, COLOURS)


def draw_lines(lines: Mapping[str, Mapping[float, dict]], file: Path, title: str, axis: str) -> None:
    """Success rates with 95 % intervals over a number, on a logarithmic axis: line -> number -> count."""
    pyplot = pyplot_without_window()
    figure, axes = pyplot.subplots(figsize=(5.5, 3.6), layout="constrained")
    for place, (name, points) in enumerate(lines.items()):
        numbers = sorted(points)
        rates, whiskers = with_whiskers([points[number] for number in numbers])
        axes.errorbar(numbers, rates, yerr=whiskers, marker="o", capsize=4, color=COLOURS[place % len(COLOURS)], label=name)
    ticks = sorted({number for points in lines.values() for number in points})
    axes.set(xlabel=axis, ylabel="success [%]", ylim=(0, 105), xscale="log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(fontsize=8)
    axes.set_title(title, fontsize=9)
    _save(figure, file)
    pyplot.close(figure)


def draw_sheet(episodes: Sequence[tuple[Path, str, bool]], file: Path, columns: int = 6) -> None:
    """The last frame of each filmed episode, (video, caption, success), with a green border or a red one."""
    cells = []
    for video, caption, success in episodes:
        cells.append(_cell(last_frame(video), caption, success))
    _paste(cells, columns, file)


def write_film(episodes: Sequence[tuple[Path, str, bool]], film: Path, columns: int = 6) -> None:
    """All filmed episodes side by side at once; one that has ended keeps its last frame, with the border of its outcome."""

    def frames() -> Iterator[np.ndarray]:
        shown: list[np.ndarray | None] = [None] * len(episodes)
        for row in zip_longest(*(read_video(video) for video, _, _ in episodes)):
            cells = []
            for place, (frame, (_, caption, success)) in enumerate(zip(row, episodes, strict=True)):
                shown[place] = shown[place] if frame is None else frame
                cells.append(_cell(shown[place], caption, success if frame is None else None))
            yield np.asarray(_sheet(cells, columns))

    with atomic_write(film) as partial:
        write_video(partial, frames(), FILM_HZ)


def _cell(frame: np.ndarray | None, caption: str, success: bool | None) -> Image.Image:
    """A frame with its caption; a border that says how the episode ended, or none while it runs."""
    assert frame is not None, "an episode's video holds at least one frame"
    colour = (60, 60, 60) if success is None else SUCCESS_RGB if success else FAILURE_RGB
    cell = Image.new("RGB", (CELL_PX, CELL_PX + CAPTION_PX), colour)
    inner = CELL_PX - 2 * BORDER_PX
    cell.paste(Image.fromarray(frame).resize((inner, inner)), (BORDER_PX, BORDER_PX))
    ImageDraw.Draw(cell).text((BORDER_PX, CELL_PX), caption[:26], fill=(255, 255, 255))
    return cell


def _sheet(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    """Cells in rows; even sides, as H.264 wants them."""
    columns = min(columns, len(cells))
    width, height = cells[0].size
    sheet = Image.new("RGB", (columns * width, -(-len(cells) // columns) * height), (20, 20, 24))
    for index, cell in enumerate(cells):
        sheet.paste(cell, (index % columns * width, index // columns * height))
    return sheet


def _paste(cells: Sequence[Image.Image], columns: int, file: Path) -> None:
    with atomic_write(file) as partial:
        _sheet(cells, columns).save(partial, format="PNG")


def _save(figure, file: Path) -> None:
    with atomic_write(file) as partial:
        figure.savefig(partial, dpi=120, format="png")
