"""Suites by name: which tasks they hold and where their scenes take place."""

from __future__ import annotations

from dial_core.config import config_root
from dial_core.errors import DialError
from dial_core.evaluation.arena import Arena, TabletopArena
from dial_core.evaluation.robocasa import RobocasaArena, load_benchmark

IN_DISTRIBUTION = "in_distribution"
EPISODES = 100  # of each task of our own suites
ROBOCASA = "robocasa_gr1"


def suite_names() -> list[str]:
    """All suites there are."""
    return [IN_DISTRIBUTION, *load_benchmark(ROBOCASA).suites]


def suite_tasks(suite: str) -> tuple[str, ...]:
    """The tasks of a suite, in order.

    Raises:
        DialError: there is no such suite; the message lists them.
    """
    if suite == IN_DISTRIBUTION:
        return tuple(path.stem for path in sorted((config_root() / "tasks").glob("*.yaml")))
    benchmark = load_benchmark(ROBOCASA)
    if suite not in benchmark.suites:
        raise DialError(f"no suite '{suite}'; suites: {', '.join(suite_names())}")
    return benchmark.tasks(suite)


def make_arena(suite: str, task: str, camera: str, image_px: int = 96) -> Arena:
    """Where a task of a suite takes place."""
    if suite == IN_DISTRIBUTION:
        return TabletopArena(task, camera, image_px)
    return RobocasaArena(load_benchmark(ROBOCASA), task)


def suite_protocol(suite: str) -> dict:
    """What a suite fixes of the protocol: episodes of a task, how long success must last, the timing of its authors."""
    return {"episodes": EPISODES} if suite == IN_DISTRIBUTION else load_benchmark(ROBOCASA).protocol
