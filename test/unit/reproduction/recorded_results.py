"""Results without episodes that were run, for the tests of the page and of what it publishes."""

from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult
from dial_core.evaluation.reports.result_page import summarise

TASKS = ("PlacematToPlate", "TrayToPot")


def summary(*successes: bool) -> dict:
    """A checkpoint's result of two tasks with four scenes each; `successes` in their order."""
    protocol = Protocol(tasks=TASKS, episodes=4)
    cases = [(task, seed) for task in TASKS for seed in range(100_000, 100_004)]
    results = [EpisodeResult(task, seed, success=done, objects=2) for (task, seed), done in zip(cases, successes, strict=True)]
    return summarise(protocol, results, wall_s=1.0)
