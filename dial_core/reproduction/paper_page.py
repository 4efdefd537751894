"""The page that a plan ends in: every table with its intervals, every number with its command, images beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dial_core.errors import DialError
from dial_core.evaluation.reports.plots import draw_bars
from dial_core.evaluation.reports.result_page import FEWEST_SEEDS, interval_text, rate_text
from dial_core.evaluation.studies.probes import OTHER_NAMED, PROBES
from dial_core.files.atomic import write_text
from dial_core.reproduction.comparison_table import comparison_table
from dial_core.reproduction.episode_sheets import episode_sheets
from dial_core.reproduction.hours import readable_hours
from dial_core.reproduction.measurements import Measurements
from dial_core.reproduction.paper_figures import draw_lines, draw_methods, figure_lines
from dial_core.reproduction.pipeline import Pipeline
from dial_core.reproduction.plan import Comparison, Curve, Probes, Section, methods_of, scenes_of
from dial_core.reproduction.training_differences import training_differences

NOT_RUN = "not run yet"
ROW = re.compile(r"^\| [^|]+ \| [\d.]+ \((\d+/\d+)\) \|", re.MULTILINE)  # of a table: what it is of, its rate and count


def write_page(pipeline: Pipeline, plan_name: str, page: Path) -> str:
    """Writes the page, and its images into the folder of the same name beside it; returns the Markdown.

    What has not been evaluated yet is named as such, so that the page can be written at any time. Results are published in
    `results/` beside the images, and those of earlier runs are shown from there, unless the page lies in the plan's own folder.

    Raises:
        DialError: a published result cannot be read, or as `require_replaceable`.
    """
    measurements = require_replaceable(pipeline, page)
    text = "\n".join(_PageWriter(pipeline, measurements, page.with_suffix("")).lines(plan_name))
    measurements.publish()
    write_text(page, text)
    return text


def require_replaceable(pipeline: Pipeline, page: Path) -> Measurements:
    """Checks that a page can be written, and again without losing what it shows; returns all that it will show.

    Raises:
        DialError: a published result cannot be read, or a result is a shard's; or the page lies outside of the plan's folder and shows rows
            whose results lie neither beside it nor in that folder, as pages of earlier versions do.
    """
    own, published = page.resolve().is_relative_to(pipeline.out.resolve()), page.with_suffix("") / "results"
    measurements = Measurements(pipeline, None if own else published)
    measured = list(measurements.measured())
    if own or not page.is_file() or any(published.rglob("*.json")):
        return measurements
    known = {count for found in measured for count in found.counts}
    if lost := [count for count in ROW.findall(page.read_text(errors="replace")) if count not in known]:
        raise DialError(
            f"{page} shows rows such as ({lost[0]}), whose results lie neither beside it ({published.parent.name}/{published.name}) nor in "
            f"{pipeline.out}: written again, it would lose them. Give another --page, or move this one away"
        )
    return measurements


class _PageWriter:
    """Collects the page's lines and draws its images on the way."""

    def __init__(self, pipeline: Pipeline, measurements: Measurements, images: Path) -> None:
        self._pipeline, self._plan, self._images = pipeline, pipeline.plan, images
        self._measured = measurements

    def lines(self, plan_name: str) -> Iterator[str]:
        plan = self._plan
        yield from (f"# {plan.title}", "", *_paragraph(plan.text))
        yield "These are results on this project's own light tabletop benchmark. They are not results on RoboCasa."
        command = self._command(plan_name)
        yield from ("", f"All of it: `{command}`; one row: `{command} --only METHOD`.", "")
        if shipped := ", ".join(self._plan.method_called(method) for method in self._pipeline.shipped):
            yield from (f"With `--shipped`: {shipped} is the checkpoint that comes with the package and was not trained again.", "")
        for section in plan.sections:
            yield from (f"## {section.title}", "", *_paragraph(section.text), *self._section(section), "")
        yield from episode_sheets(self._pipeline, self._measured, self._images)
        yield from self._what_was_trained()
        yield from self._commands(plan_name)

    def _section(self, section: Section) -> Iterator[str]:
        if not self._begun(section):
            yield f"{NOT_RUN.capitalize()}."
        elif isinstance(section, Comparison):
            yield from (*self._comparison(section), *self._what_differs(section))
        elif isinstance(section, Curve):
            yield from (*self._curve(section), *self._what_differs(section))
        else:
            yield from self._probes(section)

    def _begun(self, section: Section) -> bool:
        """Whether anything of a section has been measured."""
        if isinstance(section, Comparison):
            return any(self._summary(method, name) for method in section.methods for name in section.scenes)
        if isinstance(section, Curve):
            return any(self._summary(method, section.scenes) for line in section.lines.values() for method in line.values())
        return any(self._study(kind, section) for kind in ("probe", "foresight"))

    def _comparison(self, section: Comparison) -> Iterator[str]:
        for name in section.scenes:
            yield from (f"### {self._plan.scenes_called(name)}", "", self._scenes_line(name), "")
            evaluated = self._evaluated(section, name)
            if missing := [self._plan.method_called(method) for method in section.methods if method not in evaluated]:
                yield from (f"{NOT_RUN.capitalize()}: {', '.join(missing)}.", "")
            if evaluated:
                called = {self._plan.method_called(method): summary for method, summary in evaluated.items()}
                yield from comparison_table(called, self._plan.method_called(section.reference), self._summary(section.reference, name))
        shown = {name: evaluated for name in section.scenes if (evaluated := self._evaluated(section, name))}
        complete = {
            self._plan.method_called(method): {
                self._plan.scenes_called(name): evaluated[method]["success"] for name, evaluated in shown.items()
            }
            for method in section.methods
            if shown and all(method in evaluated for evaluated in shown.values())
        }
        if len(section.methods) == len(section.scenes) == 1 and complete:
            yield from figure_lines(self._images, section.title, lambda image: self._draw_tasks(section, image))
        elif complete:
            yield from figure_lines(self._images, section.title, lambda image: draw_methods(complete, image, section.title))
        yield from self._by_task(section)

    def _evaluated(self, section: Comparison, scenes: str) -> dict[str, dict]:
        """The summaries of the section's methods that were evaluated on the scenes."""
        return {method: summary for method in section.methods if (summary := self._summary(method, scenes))}

    def _draw_tasks(self, section: Comparison, image: Path) -> None:
        """Bars of the tasks, for a section that would have a single bar."""
        summary = self._summary(section.methods[0], section.scenes[0])
        assert summary is not None, "it is drawn because it was evaluated"
        bars = {task: row["success"] for task, row in summary["by_task"].items()} | {"all": summary["success"]}
        draw_bars(bars, image, f"{self._plan.method_called(section.methods[0])}, {self._plan.scenes_called(section.scenes[0])}")

    def _by_task(self, section: Comparison) -> Iterator[str]:
        """Successes by task and method, on the first of the scenes."""
        name = section.scenes[0]
        summaries = self._evaluated(section, name)
        tasks = next(iter(summaries.values()))["by_task"] if summaries else {}
        if len(tasks) < 2:
            return
        yield from (f"By task, {self._plan.scenes_called(name)}:", "")
        yield f"| task | {' | '.join(self._plan.method_called(method) for method in summaries)} |"
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
            yield from figure_lines(self._images, section.title, lambda image: draw_lines(drawn, image, section.title, section.axis))

    def _probes(self, section: Probes) -> Iterator[str]:
        yield from (f"{self._plan.method_called(section.method)}. {self._scenes_line(section.scenes)}", "")
        probes = self._study("probe", section)
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
        foresight = self._study("foresight", section)
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

    def _what_was_trained(self) -> Iterator[str]:
        yield from ("## What was trained", "", "| method | `--only` | model | recipe | data | trained in | |", "|---" * 7 + "|")
        for name in self._plan.methods_shown():
            method = self._plan.methods[name]
            marks = self._measured.marks(f"train/{name}")
            if not marks and name not in self._pipeline.shipped:
                continue
            trained_in = ", ".join(readable_hours(mark.wall_s or 0.0) for mark in marks) or f"shipped: `checkpoints/{method.shipped}`"
            data = ", ".join(f"{source}: {self._data_line(dataset)}" for source, dataset in method.data.items())
            trained = f"{self._plan.method_called(name)} | `{name}` | `{method.model}` | `{method.recipe}` | {data}"
            yield f"| {trained} | {trained_in} | {method.note} |"
        yield ""

    def _what_differs(self, section: Section) -> Iterator[str]:
        """Lines on the rows of an earlier run, and on trainings that differ in code, precision or device."""
        steps = {(name, f"eval/{name}/{scenes}"): f"train/{name}" for name in methods_of(section) for scenes in scenes_of(section)}
        rows = [(name, training, found) for (name, step), training in steps.items() if (found := self._measured.of(step))]
        trained = [(self._plan.method_called(name), mark) for name, training, found in rows if (mark := found.marks.get(training))]
        yield from training_differences(list(dict.fromkeys(trained)))
        earlier = dict.fromkeys(self._plan.method_called(name) for name, _, found in rows if found.published)
        if earlier and not all(found.published for _, _, found in rows):
            made = "with a backbone and data of its own by the same settings"
            yield from (f"From an earlier run of this plan, {made}: {', '.join(earlier)}.", "")

    def _commands(self, plan_name: str) -> Iterator[str]:
        yield from ("## Commands", "", "In the order of `dial reproduce`; times of all attempts, with what else ran at the same time.", "")
        yield from ("| step | command | took | on |", "|---|---|---|---|")
        missing = 0
        for step in self._pipeline.steps.values():
            marks = self._measured.marks(step.name)
            missing += not marks
            for mark in marks:
                yield f"| {step.name} | `{mark.command}` | {readable_hours(mark.wall_s or 0.0)} | {mark.ran_on} |"
        if missing:
            steps = f"{missing} of {len(self._pipeline.steps)} steps"
            yield from ("", f"{steps} have not been run yet; `{self._command(plan_name)} --dry-run` lists them with their hours.")
        if others := self._measured.of_other_settings():
            yield from ("", f"Published with other settings of the plan, and not shown: {', '.join(others)}.")
        yield ""

    def _command(self, plan_name: str) -> str:
        return f"dial reproduce {plan_name}" + (" --shipped" if self._pipeline.shipped else "")

    def _summary(self, method: str, scenes: str) -> dict | None:
        """The summary of a method's evaluation, if it was done."""
        found = self._measured.of(f"eval/{method}/{scenes}")
        return found.values if found else None

    def _study(self, kind: str, section: Probes) -> dict | None:
        found = self._measured.of(f"{kind}/{section.method}/{section.scenes}")
        return found.values if found else None

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


def _paragraph(text: str) -> list[str]:
    return [text.strip(), ""] if text.strip() else []
