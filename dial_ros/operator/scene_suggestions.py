"""Instructions that fit a simulated scene: its own, and one for every other object in it."""

from __future__ import annotations

from dial_core.errors import DialError
from dial_ros.operator.actions import Scene


def suggestions_of(scene: Scene, instruction: str) -> list[str]:
    """The scene's own instruction first, then the same task for its other objects; without a task name only the own one."""
    found = [instruction] if instruction else []
    if not scene.task:
        return found
    from dial_core.sim.scene import scene_of  # imports MuJoCo, which a page beside a real robot does not need
    from dial_core.sim.task import load_task

    try:
        task = load_task(scene.task)
        count = len(scene_of(task, scene.seed).objects)
        each = [scene_of(task, scene.seed, target).instruction for target in range(count)]
    except DialError:
        return found
    return found + [text for text in each if text not in found]
