"""A suite: the environments of a benchmark split. Data only (`config/suites/<name>.yaml`)."""

from dataclasses import dataclass
from typing import Any

from dial_core.config import Config, config_root, load_config, validate
from dial_core.errors import DialError
from dial_core.sim.task import Task, load_task


class Environment(Config):
    """One line of a suite: a task, and which of its keys are replaced by what."""

    name: str | None = None  # the task's name if left out
    task: str
    replaced: dict[str, Any] = {}


class SuiteFile(Config):
    """Schema of `config/suites/<name>.yaml`."""

    name: str
    description: str
    environments: tuple[Environment, ...]


@dataclass(frozen=True)
class Suite:
    """A loaded suite. Every task in it is complete: `World(task)` and `sample_scene(task, seed)` need nothing else."""

    name: str
    description: str
    tasks: tuple[Task, ...]

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the environments, unique in the suite, in its order."""
        return tuple(task.name for task in self.tasks)

    def task(self, name: str) -> Task:
        """The environment `name`.

        Raises:
            DialError: the suite has none of that name; the message lists those it has.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        raise DialError(f"suite {self.name} has no task '{name}'; it has {', '.join(self.task_names)}")


def load_suite(name: str) -> Suite:
    """The suite `name` from `config/suites/`.

    Raises:
        DialError: no such suite, an unknown task or key, or two environments of one name.
    """
    file = load_config(SuiteFile, "suites", name)
    tasks = tuple(_task_of(environment, name) for environment in file.environments)
    names = [task.name for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DialError(f"suite {name} has two environments called {', '.join(twice)}; give each its own name")
    return Suite(file.name, file.description, tasks)


def suite_names() -> list[str]:
    """Returns the names of all suites, sorted."""
    return sorted(path.stem for path in (config_root() / "suites").glob("*.yaml"))


def _task_of(environment: Environment, suite: str) -> Task:
    task = load_task(environment.task)
    name = environment.name or task.name
    return validate(Task, {**task.model_dump(), **environment.replaced, "name": name}, source=f"suite {suite}, environment {name}")
