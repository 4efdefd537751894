"""The simulated world's control step on one core, taken apart: physics, image, observation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from rich.table import Table

from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.expert.expert import PERIOD_S, Expert
from dial_core.sim.world import World

BUDGET_MS = 33.0  # a control step must not take longer: 1.5 times real time
PARTS = ("physics", "image", "observation")


@dataclass(frozen=True)
class StepTimes:
    """One task's times of a control step [ms]: median of each part, of the whole, and the whole's 99th percentile.

    `reset_ms`: a new scene, with its model compiled where a task needs that; `expert_ms`: what the scripted expert thinks.
    """

    task: str
    steps: int
    physics_ms: float
    image_ms: float
    observation_ms: float
    step_ms: float
    step_p99_ms: float
    reset_ms: float
    expert_ms: float

    @property
    def times_real(self) -> float:
        """How much faster than the clock on the wall."""
        return 1e3 * PERIOD_S / self.step_ms


def bench_world(tasks: tuple[str, ...], steps: int, image_px: int) -> list[StepTimes]:
    """Times `steps` control steps of the expert's motion in each task, with one square image of `image_px` a step."""
    return [_bench(task, steps, image_px) for task in tasks]


def _bench(task: str, steps: int, image_px: int) -> StepTimes:
    world = World(task, image_size=image_px)
    kinematics = ForwardKinematics(world.embodiment)
    times: dict[str, list[float]] = {name: [] for name in (*PARTS, "reset", "expert")}

    def timed(name: str, call: Callable[[], object]) -> object:
        started_s = time.perf_counter()
        result = call()
        times[name].append(1e3 * (time.perf_counter() - started_s))
        return result

    seed = 0
    while len(times["physics"]) < steps:
        timed("reset", lambda: world.reset(seed))  # noqa: B023  # called at once
        world.render()  # the renderer is made with the first image
        expert = Expert(world, seed)
        while not expert.done and len(times["physics"]) < steps:
            action = timed("expert", expert.action)
            targets = np.asarray(action, np.float64)[world.embodiment.joint_slice]
            timed("physics", lambda: world.advance(targets, PERIOD_S))  # noqa: B023
            timed("image", world.render)
            timed("observation", lambda: (kinematics.state(world.joint_positions()), world.success()))
        seed += 1
    world.close()
    whole = np.sum([times[name] for name in PARTS], axis=0)
    middle = {name: float(np.median(values)) for name, values in times.items()}
    return StepTimes(
        task=task,
        steps=steps,
        physics_ms=middle["physics"],
        image_ms=middle["image"],
        observation_ms=middle["observation"],
        step_ms=float(np.median(whole)),
        step_p99_ms=float(np.quantile(whole, 0.99)),
        reset_ms=middle["reset"],
        expert_ms=middle["expert"],
    )


def table_of(rows: list[StepTimes], image_px: int) -> Table:
    """The times as a table for people."""
    table = Table("task", "physics", "image", "observation", "step", "p99", "times real time", "reset", "expert")
    table.title = f"one control step of {1e3 * PERIOD_S:.0f} ms with a {image_px}x{image_px} image, median ms; budget {BUDGET_MS:.0f} ms"
    for row in rows:
        cells = (row.physics_ms, row.image_ms, row.observation_ms, row.step_ms, row.step_p99_ms)
        table.add_row(row.task, *(f"{cell:.2f}" for cell in cells), f"{row.times_real:.1f}", f"{row.reset_ms:.0f}", f"{row.expert_ms:.2f}")
    return table


def json_of(rows: list[StepTimes], image_px: int) -> str:
    """The times as one line for programs."""
    return json.dumps({"image_px": image_px, "budget_ms": BUDGET_MS, "tasks": [asdict(row) for row in rows]})
