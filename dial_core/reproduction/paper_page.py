"""The page that a plan ends in: every table with its intervals, every number with its command, images beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from dial_core.evaluation.reports.plots import draw_bars
from dial_core.evaluation.reports.result_page import FEWEST_SEEDS, interval_text, rate_text
from dial_core.evaluation.studies.probes import OTHER_NAMED, PROBES
from dial_core.files.atomic import write_text
from dial_core.reproduction.comparison_table import comparison_table
from dial_core.reproduction.done_marks import DoneMarks, Mark, command_of
from dial_core.reproduction.hours import readable_hours
from dial_core.reproduction.paper_figures import draw_lines, draw_methods, draw_sheet, write_film
from dial_core.reproduction.pipeline import Pipeline
from dial_core.reproduction.plan import Comparison, Curve, Probes, Section, methods_of, scenes_of
from dial_core.reproduction.training_differences import training_differences

NOT_RUN = "not run yet"


def write_page(pipeline: Pipeline, plan_name: str, page: Path) -> str:
    """Writes the page, and its images into the folder of the same name beside it; returns the Markdown.

    What has not been evaluated yet is named as such, so that the page can be written at any time.
    """
    writer = _PageWriter(pipeline, page.with_suffix(""))
    text = "\n".join(writer.lines(plan_name))
    write_text(page, text)
    return text


class _PageWriter:
    """Collects the page's lines and draws its images on the way."""

    def __init__(self, pipeline: Pipeline, images: Path) -> None:
        self._pipeline, self._plan, self._images = pipeline, pipeline.plan, images
        self._marks = DoneMarks(pipeline.out)
        self._summaries: dict[tuple[str, str], dict | None] = {}

    def lines(self, plan_name: str) -> Iterator[str]:
        plan = self._plan
        yield from (f"# {plan.title}", "", *_paragraph(plan.text))
        yield "These are results on this project's own light tabletop benchmark. They are not results on RoboCasa."
        command = self._command(plan_name)
        yield from ("", f"All of it: `{command}`; one row: `{command} --only METHOD`.", "")
        if shipped := ", ".join(self._called(method) for method in self._pipeline.shipped):
            yield from (f"With `--shipped`: {shipped} is the checkpoint that comes with the package and was not trained again.", "")
        for section in plan.sections:
            yield from (f"## {section.title}", "", *_paragraph(section.text), *self._section(section), "")
        yield from self._film()
        yield from self._what_was_trained()
        yield from self._commands(plan_name)

    def _section(self, section: Section) -> Iterator[str]:
        if not self._begun(section):
            yield f"{NOT_RUN.capitalize()}."
        elif isinstance(section, Comparison):
            yield from (*self._comparison(section), *self._trainings(section))
        elif isinstance(section, Curve):
            yield from (*self._curve(section), *self._trainings(section))
        else:
            yield from self._probes(section)

    def _begun(self, section: Section) -> bool:
        """Whether anything of a section has been measured."""
        if isinstance(section, Comparison):
            return any(self._summary(method, name) for method in section.methods for name in section.scenes)
        if isinstance(section, Curve):
            return any(self._summary(method, section.scenes) for line in section.lines.values() for method in line.values())
        files = ("probe", "result.json"), ("foresight", "foresight.json")
        return any((self._pipeline.study(kind, section) / name).is_file() for kind, name in files)

    def _comparison(self, section: Comparison) -> Iterator[str]:
        for name in section.scenes:
            yield from (f"### {self._scenes_called(name)}", "", self._scenes_line(name), "")
            evaluated = self._evaluated(section, name)
            if missing := [self._called(method) for method in section.methods if method not in evaluated]:
                yield from (f"{NOT_RUN.capitalize()}: {', '.join(missing)}.", "")
            if evaluated:
                called = {self._called(method): summary for method, summary in evaluated.items()}
                yield from comparison_table(called, self._called(section.reference), self._summary(section.reference, name))
        shown = {name: evaluated for name in section.scenes if (evaluated := self._evaluated(section, name))}
        complete = {
            self._called(method): {self._scenes_called(name): evaluated[method]["success"] for name, evaluated in shown.items()}
            for method in section.methods
            if shown and all(method in evaluated for evaluated in shown.values())
        }
        if len(section.methods) == len(section.scenes) == 1 and complete:
            yield from self._image(section.title, lambda image: self._draw_tasks(section, image))
        elif complete:
            yield from self._image(section.title, lambda image: draw_methods(complete, image, section.title))
        yield from self._by_task(section)

    def _evaluated(self, section: Comparison, scenes: str) -> dict[str, dict]:
        """The summaries of the section's methods that were evaluated on the scenes."""
        return {method: summary for method in section.methods if (summary := self._summary(method, scenes))}

    def _draw_tasks(self, section: Comparison, image: Path) -> None:
        """Bars of the tasks, for a section that would have a single bar."""
        summary = self._summary(section.methods[0], section.scenes[0])
        assert summary is not None, "it is drawn because it was evaluated"
        bars = {task: row["success"] for task, row in summary["by_task"].items()} | {"all": summary["success"]}
        draw_bars(bars, image, f"{self._called(section.methods[0])}, {self._scenes_called(section.scenes[0])}")

    def _by_task(self, section: Comparison) -> Iterator[str]:
        """Successes by task and method, on the first of the scenes."""
        name = section.scenes[0]
        summaries = self._evaluated(section, name)
        tasks = next(iter(summaries.values()))["by_task"] if summaries else {}
        if len(tasks) < 2:
            return
        yield from (f"By task, {self._scenes_called(name)}:", "")
        yield f"| task | {' | '.join(self._called(method) for method in summaries)} |"
        yield "|---" * (len(summaries) + 1) + "|"
        for task in tasks:
            counts = [summary["by_task"][task]["success"] for summary in summaries.values()]
            cells = " | ".join(f"{count['successes']}/{count['trials']}" for count in counts)
            yield f"| {task} | {cells} |"
        yield ""

    def _curve(self, section: Curve) -> Iterator[str]:
        yield from (self._scenes_line(section.scenes), "", f"| {section.axis} | {' | '.join(section.lines)} |")
        yield "|---" * (len(section.lines) + 1) + "|"
        points: dict[str, dict[float, dict]] = {line: {} for line in section.lines}
        for number in sorted({number for line in section.lines.values() for number in line}):
            cells = []
            for line, methods in section.lines.items():
                summary = self._summary(methods[number], section.scenes) if number in methods else None
                if summary:
                    points[line][number] = summary["success"]
                    cells.append(f"{rate_text(summary['success'])}, {interval_text(summary['success'])}")
                else:
                    cells.append(NOT_RUN if number in methods else "-")
            yield f"| {number} | {' | '.join(cells)} |"
        yield ""
        drawn = {line: counts for line, counts in points.items() if counts}
        if drawn:
            yield from self._image(section.title, lambda image: draw_lines(drawn, image, section.title, section.axis))

    def _probes(self, section: Probes) -> Iterator[str]:
        yield from (f"{self._called(section.method)}. {self._scenes_line(section.scenes)}", "")
        probes = _read(self._pipeline.study("probe", section) / "result.json")
        yield from ("| System-1 acts on | success | 95 % | named object moved | another moved |", "|---|---|---|---|---|")
        for name in PROBES:
            summary = probes.get(name) if probes else None
            if not summary:
                yield f"| {name} | {NOT_RUN} | | | |"
                continue
            two = summary["two_objects"]
            moved = f"{rate_text(two['named_moved'])} | {rate_text(two['other_moved'])}"
            # Where there is no other object, naming it is the same episode again.
            called, success = (f"{name}, where there is one", two["success"]) if name == OTHER_NAMED else (name, summary["success"])
            yield f"| {called} | {rate_text(success)} | {interval_text(success)} | {moved} |"
        yield ""
        if (episodes := self._plan.scenes[section.scenes].episodes) < FEWEST_SEEDS and probes:
            narrow = "the intervals, which take all scenes for independent, are too narrow"
            yield from (f"{episodes} seeds, whose scenes are alike over tasks: {narrow}.", "")
        foresight = _read(self._pipeline.study("foresight", section) / "foresight.json")
        yield from (
            "Error of the foresight relative to predicting no change (below 1: better):",
            "",
            "| task | relative error |",
            "|---|---|",
        )
        if not foresight:
            yield f"| | {NOT_RUN} |"
            return
        for task, row in {**foresight["by_task"], "all": foresight["all"]}.items():
            if row["relative"] is not None:
                yield f"| {task} | {row['relative']:.3f} |"

    def _film(self) -> Iterator[str]:
        """The filmed method's first scene of every task: a sheet for each of its evaluations, and a film of the first one."""
        method = self._plan.film
        evaluated = [name for shown, name in self._plan.evaluations() if shown == method]
        filmed = {name: films for name in evaluated if (films := self._films(method, name))}
        sheets = {name: filmed[name] for name in self._different(list(filmed))}
        if not sheets:
            return
        first = next(iter(sheets))
        yield from ("## Episodes", "")
        yield f"{self._called(method)} at the end of the first scene of every task, whatever came of it."
        yield "A green border: succeeded; a red one: failed."
        yield ""
        for name, films in sheets.items():
            succeeded = sum(success for _, _, success in films)
            summary = self._summary(method, name)
            assert summary is not None, "its scenes were filmed"
            of_all = rate_text(summary["success"])
            yield from (f"{self._scenes_called(name).capitalize()}: {succeeded} of these {len(films)}, {of_all} of all scenes.", "")
            title = "episodes" if name == first else f"episodes {name}"
            yield from self._image(title, lambda image, films=films: draw_sheet(films, image))
        write_film(sheets[first], self._images / "episodes.mp4")
        film = f"{self._images.name}/episodes.mp4"
        yield from (f"All episodes of the first sheet in one video: [{film}]({film}).", "")

    def _different(self, names: list[str]) -> list[str]:
        """Those whose first scenes no earlier one shows: some differ in the number of episodes alone."""
        first = [self._plan.scenes[name].model_dump(include={"suite", "tasks", "seed"}) for name in names]
        return [name for place, name in enumerate(names) if first[place] not in first[:place]]

    def _films(self, method: str, name: str) -> list[tuple[Path, str, bool]]:
        """(film, task, success) of the scenes of an evaluation that were filmed."""
        summary, folder = self._summary(method, name), self._pipeline.result(method, name) / "videos"
        if not summary:
            return []
        outcomes = ((row["task"], row["seed"], row["success"]) for row in summary["episodes"])
        filmed = [(folder / f"{task.replace('/', '_')}-{seed}.mp4", task, success) for task, seed, success in outcomes]
        return [film for film in filmed if film[0].is_file()]

    def _what_was_trained(self) -> Iterator[str]:
        yield from ("## What was trained", "", "| method | `--only` | model | recipe | data | trained in | |", "|---" * 7 + "|")
        for name in self._plan.methods_shown():
            method = self._plan.methods[name]
            mark = self._trained(name)
            if not mark and name not in self._pipeline.shipped:
                continue
            trained_in = readable_hours(mark.wall_s or 0.0) if mark else f"shipped: `checkpoints/{method.shipped}`"
            data = ", ".join(f"{source}: {self._data_line(dataset)}" for source, dataset in method.data.items())
            trained = f"{self._called(name)} | `{name}` | `{method.model}` | `{method.recipe}` | {data}"
            yield f"| {trained} | {trained_in} | {method.note} |"
        yield ""

    def _trained(self, method: str) -> Mark | None:
        """The mark of a method's training; None if that is not done, or the method ships."""
        training = self._pipeline.steps.get(f"train/{method}")
        mark = self._marks.read(training) if training else None
        return mark if mark and mark.wall_s is not None else None

    def _trainings(self, section: Section) -> Iterator[str]:
        """Lines on trainings of the section's evaluated methods that differ in code, precision or device."""
        evaluated = [name for name in methods_of(section) if any(self._summary(name, scenes) for scenes in scenes_of(section))]
        yield from training_differences([(self._called(name), mark) for name in evaluated if (mark := self._trained(name))])

    def _commands(self, plan_name: str) -> Iterator[str]:
        yield from ("## Commands", "", "In the order of `dial reproduce`; times of all attempts, with what else ran at the same time.", "")
        yield from ("| step | command | took | on |", "|---|---|---|---|")
        missing = 0
        for step in self._pipeline.steps.values():
            mark = self._marks.read(step)
            if mark and mark.wall_s is not None:
                yield f"| {step.name} | `{command_of(step)}` | {readable_hours(mark.wall_s)} | {mark.ran_on} |"
            else:
                missing += 1
        if missing:
            steps = f"{missing} of {len(self._pipeline.steps)} steps"
            yield from ("", f"{steps} have not been run yet; `{self._command(plan_name)} --dry-run` lists them with their hours.")
        yield ""

    def _command(self, plan_name: str) -> str:
        return f"dial reproduce {plan_name}" + (" --shipped" if self._pipeline.shipped else "")

    def _summary(self, method: str, scenes: str) -> dict | None:
        if (method, scenes) not in self._summaries:
            self._summaries[method, scenes] = _read(self._pipeline.result(method, scenes) / "result.json")
        return self._summaries[method, scenes]

    def _image(self, title: str, draw) -> Iterator[str]:
        name = "".join(letter if letter.isalnum() else "_" for letter in title.lower()).strip("_") + ".png"
        self._images.mkdir(parents=True, exist_ok=True)
        draw(self._images / name)
        yield from (f"![{title}]({self._images.name}/{name})", "")

    def _called(self, method: str) -> str:
        return self._plan.methods[method].called or method

    def _scenes_called(self, name: str) -> str:
        return self._plan.scenes[name].called or name.replace("_", " ")

    def _scenes_line(self, name: str) -> str:
        scenes = self._plan.scenes[name]
        last = scenes.seed + scenes.episodes - 1
        tasks = f"its tasks {', '.join(scenes.tasks)}" if scenes.tasks else "all its tasks"
        timing = "".join(f", `--{option} {steps}`" for option, steps in scenes.timing.items())
        return f"Suite `{scenes.suite}`, {tasks}, scenes {scenes.seed} to {last} of each{timing}."

    def _data_line(self, name: str) -> str:
        data = self._plan.demonstrations[name]
        tasks = f"{len(data.tasks)} tasks" if data.tasks else f"every task of `{data.suite}`"
        body = "" if data.body == "robot" else " of floating hands"
        return f"{data.episodes} demonstrations{body} of {tasks}"


def _read(file: Path) -> dict | None:
    return json.loads(file.read_text()) if file.is_file() else None


def _paragraph(text: str) -> list[str]:
    return [text.strip(), ""] if text.strip() else []
