"""What a plan has measured: in its own folder, and by earlier runs that published their results beside the page.

A folder of checkpoints and datasets is large, and lost with its machine. The results themselves are small: beside a page that lies
outside of it, `<page>/results/<step>.json` keeps each as its command wrote it, with the marks of all that it rests on. So a row
that took an hour stays, with every scene's outcome for `dial compare`, and another machine's page adds its own to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dial_core.errors import DialError
from dial_core.evaluation.reports.compare import require_whole
from dial_core.files.atomic import write_text
from dial_core.reproduction.done_marks import DoneMarks, Mark
from dial_core.reproduction.pipeline import Pipeline
from dial_core.reproduction.pipeline_step import PipelineStep

RESULT_FILES = {"eval": "result.json", "probe": "result.json", "foresight": "foresight.json"}  # by kind of step
ORIGIN = "reproduction"  # key of a published result: the settings that gave it, and the marks


@dataclass(frozen=True)
class Measurement:
    """The result of a step, as its command wrote it.

    Attributes:
        values: JSON values of the result.
        marks: of the step and all that it rests on, by name, as far as they are known.
        published: whether an earlier run published it, and the plan's folder has none.
    """

    values: dict[str, Any]
    marks: dict[str, Mark]
    published: bool

    @property
    def counts(self) -> set[str]:
        """Its successes as a table has them, `12/24`: of an evaluation, or of each of a probe's."""
        summaries = [value for value in (self.values, *self.values.values()) if isinstance(value, dict) and "success" in value]
        return {f"{summary['success']['successes']}/{summary['success']['trials']}" for summary in summaries}


class Measurements:
    """The results of a plan's evaluations and probes."""

    def __init__(self, pipeline: Pipeline, published: Path | None = None) -> None:
        """`published`: where results are published and found again; None: nowhere."""
        self._pipeline, self._published = pipeline, published
        self._done = DoneMarks(pipeline.out)
        self._anywhere = pipeline.in_folder(Path("OUT")).steps  # settings are compared without the folder's name
        self._found: dict[str, Measurement | None] = {}

    def of(self, step: str) -> Measurement | None:
        """The result of the step of this name: the folder's own, else a published one; None if there is neither.

        Raises:
            DialError: a published file cannot be read, or an evaluation's result is a shard's.
        """
        if step not in self._found:
            found = self._own(step) or self._earlier(step)
            if found and _kind(step) == "eval":
                require_whole(found.values)
            self._found[step] = found
        return self._found[step]

    def measured(self) -> Iterator[Measurement]:
        """Every result that there is, in the order of the steps."""
        found = (self.of(step) for step in self._pipeline.steps if _kind(step) in RESULT_FILES)
        return (measurement for measurement in found if measurement)

    def marks(self, step: str) -> list[Mark]:
        """How the step of this name was done: here, and for each published result that rests on it; equal ones once."""
        own = self._finished(self._pipeline.steps[step]) if step in self._pipeline.steps else None
        earlier = [found.marks[step] for found in self.measured() if found.published and step in found.marks]
        return list(dict.fromkeys([*([own] if own else []), *earlier]))

    def publish(self) -> None:
        """Writes every result of the plan's folder to where results are published."""
        if self._published is None:
            return
        for name in self._pipeline.steps:
            if _kind(name) in RESULT_FILES and (found := self.of(name)) and not found.published:
                marks = {step: asdict(mark) for step, mark in found.marks.items()}
                text = readable_json(found.values | {ORIGIN: self._settings(name) | {"marks": marks}}) + "\n"
                file = self._file(self._published, name)
                if not file.is_file() or file.read_text() != text:
                    write_text(file, text)

    def of_other_settings(self) -> list[str]:
        """Published results that the plan, as it stands, would not give."""
        if self._published is None:
            return []
        files = sorted(self._published.rglob("*.json"))
        names = [str(file.relative_to(self._published).with_suffix("")) for file in files]
        return [name for name in names if name not in self._anywhere or not self.of(name)]

    def _own(self, step: str) -> Measurement | None:
        file = self._pipeline.out / step / RESULT_FILES[_kind(step)]
        if step not in self._pipeline.steps or not file.is_file():
            return None
        marks = {name: mark for name in self._chain(step) if (mark := self._finished(self._pipeline.steps[name]))}
        return Measurement(json.loads(file.read_text()), marks, published=False)

    def _earlier(self, step: str) -> Measurement | None:
        """The published result, if these settings gave it."""
        if self._published is None or step not in self._anywhere or not (file := self._file(self._published, step)).is_file():
            return None
        try:
            values = json.loads(file.read_text())
            origin = values.pop(ORIGIN)
            marks = {name: Mark(**mark) for name, mark in origin.pop("marks").items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DialError(f"{file} is no published result: {error!r}; restore it, or delete it to show the step as not run") from error
        return Measurement(values, marks, published=True) if origin == self._settings(step) else None

    def _settings(self, step: str) -> dict[str, str]:
        return {"fingerprint": self._anywhere[step].fingerprint, "basis": self._anywhere[step].basis}

    def _chain(self, step: str) -> Iterable[str]:
        """The step and all that it rests on, in the order of the steps."""
        found = {step}
        while further := {need for name in found for need in self._pipeline.steps[name].rests_on} - found:
            found |= further
        return (name for name in self._pipeline.steps if name in found)

    def _finished(self, step: PipelineStep) -> Mark | None:
        mark = self._done.read(step)
        return mark if mark and mark.wall_s is not None else None

    @staticmethod
    def _file(published: Path, step: str) -> Path:
        return published / f"{step}.json"


def _kind(step: str) -> str:
    return step.partition("/")[0]


def readable_json(values: Any) -> str:
    """JSON with a line for each value of a mapping and each episode, so that two versions differ where their scenes do."""
    return "\n".join(_lines(values))


def _lines(values: Any, indent: str = "") -> Iterator[str]:
    if not isinstance(values, dict) or not values:
        yield json.dumps(values)
        return
    yield "{"
    last, inner = list(values)[-1], indent + " "
    for key, value in values.items():
        comma = "" if key == last else ","
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield f"{inner}{json.dumps(key)}: ["
            yield from (f"{inner} {json.dumps(item)}{'' if place == len(value) else ','}" for place, item in enumerate(value, 1))
            yield f"{inner}]{comma}"
        else:
            first, *others = _lines(value, inner)
            *lines, end = f"{inner}{json.dumps(key)}: {first}", *others
            yield from (*lines, end + comma)
    yield f"{indent}}}"
