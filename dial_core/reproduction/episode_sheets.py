"""The page's episodes: a sheet of first scenes for each evaluation of the filmed method, and a film of the first sheet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dial_core.evaluation.reports.result_page import rate_text
from dial_core.reproduction.measurements import Measurement, Measurements
from dial_core.reproduction.paper_figures import draw_sheet, figure_file, figure_lines, write_film
from dial_core.reproduction.pipeline import Pipeline

FILM = "episodes.mp4"

Episodes = list[tuple[Path, str, bool]]  # video, task, and whether it succeeded


def episode_sheets(pipeline: Pipeline, measurements: Measurements, images: Path) -> Iterator[str]:
    """The section's lines; none where nothing was filmed.

    Results that an earlier run published come without their videos: the sheets and the film that it drew stay.
    """
    method, plan, shown = pipeline.plan.film, pipeline.plan, list[dict]()
    for name in (scenes for evaluated, scenes in plan.evaluations() if evaluated == method):
        first_scenes = plan.scenes[name].model_dump(include={"suite", "tasks", "seed"})
        found = measurements.of(f"eval/{method}/{name}")
        if not found or first_scenes in shown:  # some differ in the number of episodes alone
            continue
        title = f"episodes {name}" if shown else "episodes"
        episodes = _first_scenes(found, pipeline.result(method, name) / "videos")
        filmed = [episode for episode in episodes if episode[0].is_file()]
        kept = found.published and not filmed and figure_file(images, title).is_file()
        if not (filmed or kept):
            continue
        if not shown:
            yield from (
                "## Episodes",
                "",
                f"{plan.method_called(method)} at the end of the first scene of every task, whatever came of it.",
            )
            yield from ("A green border: succeeded; a red one: failed.", "")
            if filmed:
                write_film(filmed, images / FILM)
        drawn = episodes if kept else filmed
        succeeded, of_all = sum(success for _, _, success in drawn), rate_text(found.values["success"])
        yield from (f"{plan.scenes_called(name).capitalize()}: {succeeded} of these {len(drawn)}, {of_all} of all scenes.", "")
        yield from figure_lines(images, title, None if kept else partial(draw_sheet, filmed))
        shown.append(first_scenes)
    if shown and (images / FILM).is_file():
        film = f"{images.name}/{FILM}"
        yield from (f"All episodes of the first sheet in one video: [{film}]({film}).", "")


def _first_scenes(found: Measurement, videos: Path) -> Episodes:
    """The first scene of every task, with where its video lies if it was filmed here."""
    first = min((row["seed"] for row in found.values["episodes"]), default=None)
    rows = ((row["task"], row["seed"], row["success"]) for row in found.values["episodes"] if row["seed"] == first)
    return [(videos / f"{task.replace('/', '_')}-{seed}.mp4", task, success) for task, seed, success in rows]
