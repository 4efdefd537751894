"""The schema of `config/reproduction/<name>.yaml`: data, methods, suites, and the tables that are wanted of them."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from dial_core.config import Config
from dial_core.sim.catalogue import load_object
from dial_core.sim.suite import load_suite
from dial_core.sim.task import EVALUATION_SEEDS_FROM

# Keys become names of folders and of steps, and `--only` takes those of methods, scenes and kinds of steps.
NAME = r"[a-z0-9][a-z0-9_]*"
STEP_KINDS = ("pretrain", "encoder", "demonstrations", "hands", "start", "tokens", "train", "eval", "probe", "foresight")


class Pretraining(Config):
    """The backbone that every method starts from, and the second tower of those that have one (recipes in `config/training/`)."""

    recipe: str = "dial_tiny_pretrain"
    view_encoder: str = "dial_tiny_encoder"


class Demonstrations(Config):
    """One dataset: `episodes` successful demonstrations of each task, from scene `seed` on.

    Attributes:
        suite, tasks: the suite's tasks, or only these.
        body: the robot, or the floating hands that stand for a person.
        disturbed: share of the scenes in which the robot is pushed off the expert's path.
        changed: share of the scenes with two objects in which the episode begins on the way to the other one.
        missed: share of the other scenes in which it begins with the hand closed beside the object.
        two_objects: share of the scenes with two objects, in tasks that have such; None: as many as the task's scenes have.
        image_px: side of the images [px]; those of hands have the embodiment's.
    """

    suite: str = "in_distribution"
    tasks: tuple[str, ...] = ()
    episodes: int = Field(gt=0)
    seed: int = Field(default=0, ge=0, lt=EVALUATION_SEEDS_FROM)
    body: Literal["robot", "hands"] = "robot"
    disturbed: float = Field(default=0.5, ge=0, le=1)
    changed: float = Field(default=0.0, ge=0, le=1)
    missed: float = Field(default=0.0, ge=0, le=1)
    two_objects: float | None = Field(default=None, ge=0, le=1)
    image_px: int = Field(default=96, ge=32)

    @property
    def object_words(self) -> set[str]:
        """The words of the names by which its instructions call what is moved."""
        suite = load_suite(self.suite)
        kinds = {kind for task in self.tasks or suite.task_names for kind in suite.task(task).objects}
        return {word for kind in kinds for word in load_object(kind).called.split()}


class Method(Config):
    """One trained policy: a model, a recipe, and the dataset of each of the recipe's sources.

    Attributes:
        called: its name in tables; by default its key.
        model: preset in `config/models/`.
        recipe: in `config/training/`.
        data: source of the recipe -> key of the plan's demonstrations.
        new_names: whether the words for the objects of its demonstrations are new to its VLM, which must learn them from these.
        shipped: name of the checkpoint that this training made, if it comes with the package.
        note: what a reader of the table must know of it.
    """

    called: str = ""
    model: str = "dial_tiny"
    recipe: str = "dial_tiny"
    data: dict[str, str] = Field(min_length=1)
    new_names: bool = False
    shipped: str = ""
    note: str = ""


class Scenes(Config):
    """One suite's scenes: `episodes` of each task from scene `seed` on; `tasks` picks some of the suite's, or names YAML files.

    Attributes:
        system2_period_steps, system2_delay_steps: of the foresights in evaluations; None: the robot's loop, as `dial eval` has it.
    """

    called: str = ""
    suite: str = "in_distribution"
    tasks: tuple[str, ...] = ()
    episodes: int = Field(gt=0)
    seed: int = Field(default=EVALUATION_SEEDS_FROM, ge=EVALUATION_SEEDS_FROM)
    system2_period_steps: int | None = Field(default=None, gt=0)
    system2_delay_steps: int | None = Field(default=None, ge=0)

    @property
    def timing(self) -> dict[str, int]:
        """What differs from the robot's loop, as `dial eval` calls it."""
        steps = {"system2-period-steps": self.system2_period_steps, "system2-delay-steps": self.system2_delay_steps}
        return {option: value for option, value in steps.items() if value is not None}


class Comparison(Config):
    """Methods on the same scenes, each against `reference` by McNemar's test."""

    kind: Literal["comparison"]
    title: str
    text: str = ""
    methods: tuple[str, ...] = Field(min_length=1)
    reference: str
    scenes: tuple[str, ...] = Field(min_length=1)


class Curve(Config):
    """Success over a number, such as demonstrations a task: line -> number -> method."""

    kind: Literal["curve"]
    title: str
    text: str = ""
    axis: str
    lines: dict[str, dict[int, str]] = Field(min_length=1)
    scenes: str


class Probes(Config):
    """What the foresight of a method carries: `dial probe`, and `dial foresight` against predicting "no change"."""

    kind: Literal["probes"]
    title: str
    text: str = ""
    method: str
    scenes: str


Section = Comparison | Curve | Probes


class Costs(Config):
    """Seconds of one core, measured on `machine`; what `--dry-run` counts with until steps of that kind have finished here."""

    machine: str
    view: float = Field(gt=0)  # rendering one view of pretraining
    seeing_sample: float = Field(gt=0)  # one sample of a pretraining step
    reading_sample: float = Field(gt=0)
    query_sample: float = Field(gt=0)
    encoder_sample: float = Field(gt=0)  # of a step of the view encoder's
    demonstration: float = Field(gt=0)  # one attempt
    image_tokens: float = Field(gt=0)  # of one demonstration
    foresight: float = Field(gt=0)  # one sample of a training step: its foresight, and each of its chunks
    chunk: float = Field(gt=0)
    flow_draw: float = Field(default=0.0, ge=0)  # of one draw more of a chunk's noise
    muon_step: float = Field(default=0.0, ge=0)  # what a step of Muon costs beside its samples
    episode: float = Field(gt=0)  # one episode of an evaluation


class ReproductionPlan(Config):
    """Everything from nothing to the tables. Which evaluations are run follows from the sections that show them.

    Attributes:
        title, text: what the page begins with.
        film: method whose episodes are filmed, for the contact sheet and the film of all tasks.
    """

    title: str
    text: str = ""
    pretraining: Pretraining = Pretraining()
    demonstrations: dict[str, Demonstrations] = Field(min_length=1)
    methods: dict[str, Method] = Field(min_length=1)
    scenes: dict[str, Scenes] = Field(min_length=1)
    sections: list[Section] = Field(min_length=1)
    film: str = ""
    costs: Costs

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [*STEP_KINDS, *self.methods, *self.scenes]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(repeated)}: methods, scenes and kinds of steps ({', '.join(STEP_KINDS)}) need names of their own")
        if wrong := [name for name in (*self.demonstrations, *self.methods, *self.scenes) if not re.fullmatch(NAME, name)]:
            raise ValueError(f"{', '.join(wrong)}: a name is of small letters, digits and underscores")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for key, method in self.methods.items():
            _require(f"method {key}: data", method.data.values(), self.demonstrations)
        for section in self.sections:
            _require(f"section '{section.title}'", methods_of(section), self.methods)
            _require(f"section '{section.title}'", scenes_of(section), self.scenes)
            if isinstance(section, Comparison) and section.reference not in section.methods:
                raise ValueError(f"section '{section.title}': the reference {section.reference} is none of its methods")
            if isinstance(section, Probes) and self.scenes[section.scenes].timing:
                raise ValueError(f"section '{section.title}': probes keep the robot's timing; scenes {section.scenes} have their own")
        _require("film", [self.film] if self.film else [], self.methods)
        return self

    def evaluations(self) -> list[tuple[str, str]]:
        """(method, scenes) pairs that the sections need, each once, in their order; probes evaluate for themselves."""
        evaluated = [section for section in self.sections if not isinstance(section, Probes)]
        return list(dict.fromkeys((method, name) for section in evaluated for name in scenes_of(section) for method in methods_of(section)))

    def method_called(self, name: str) -> str:
        """What a method is called on the page."""
        return self.methods[name].called or name

    def scenes_called(self, name: str) -> str:
        """What scenes are called on the page."""
        return self.scenes[name].called or name.replace("_", " ")

    def methods_shown(self) -> list[str]:
        """Methods that some section shows, in the plan's order."""
        shown = {method for section in self.sections for method in methods_of(section)}
        return [method for method in self.methods if method in shown]


def methods_of(section: Section) -> tuple[str, ...]:
    """The methods that a section shows."""
    if isinstance(section, Comparison):
        return section.methods
    if isinstance(section, Curve):
        return tuple(dict.fromkeys(method for line in section.lines.values() for method in line.values()))
    return (section.method,)


def scenes_of(section: Section) -> tuple[str, ...]:
    """The scenes that a section shows."""
    return section.scenes if isinstance(section, Comparison) else (section.scenes,)


def _require(where: str, names, known: dict) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"{where} names {', '.join(unknown)}; there are {', '.join(known)}")
