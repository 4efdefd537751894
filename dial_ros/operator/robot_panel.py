"""The robot in three dimensions: a skeleton of its links as measured, and a ghost where the newest chunk ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from nicegui import ui

from dial_core.robot.kinematics import LinkPositions
from dial_ros.operator.visit import Visit, card, heading

SHORTEST_M = 0.015  # links that are closer to their parent are one point with it
THIN_M, THICK_M = 0.012, 0.03  # radius of short and of long links
MEASURED, GHOST = "#4477aa", "#ee6677"
GHOST_SCALE = 1.25  # thicker than what it may coincide with
NEW_RAD = 0.002  # smaller changes are not drawn


class RobotPanel:
    """Drawn from the embodiment's links, which its URDF or MJCF gave; nothing is computed while it is folded."""

    def __init__(self, visit: Visit) -> None:
        self._visit, self._positions = visit, LinkPositions(visit.embodiment)
        home = self._positions(visit.embodiment.home_position)
        parents = self._positions.parents
        self._bones = [
            (link, parent) for link, parent in enumerate(parents) if parent >= 0 and np.linalg.norm(home[link] - home[parent]) > SHORTEST_M
        ]
        self._drawn: dict[str, np.ndarray] = {}
        middle, size = home.mean(axis=0), float(np.ptp(home, axis=0).max())
        with card():
            heading("Robot, and a ghost where the chunk ends")
            with ui.expansion("3D view", value=True).props("dense").classes("w-full") as self._fold:
                camera = ui.scene.perspective_camera(fov=40)
                self._scene = (
                    ui.scene(height=300, grid=(2, 8), camera=camera, fps=10, background_color="#ffffff").classes("w-full").mark("robot")
                )
                with self._scene:
                    self._shapes = {
                        "measured": self._skeleton(home, MEASURED, 1.0, 1.0),
                        "ghost": self._skeleton(home, GHOST, 0.35, GHOST_SCALE),
                    }
                x, y, z = (float(value) for value in middle)
                self._scene.move_camera(x + 1.1 * size, y - 0.7 * size, z + 0.4 * size, x, y, z, duration=0)

    def _skeleton(self, home: np.ndarray, colour: str, opacity: float, thickness: float) -> list[str]:
        """Objects of one robot: a cylinder a bone, in the order of the bones; their ids."""
        ids = []
        for link, parent in self._bones:
            length = float(np.linalg.norm(home[link] - home[parent]))
            radius = thickness * float(np.clip(0.25 * length, THIN_M, THICK_M))
            ids.append(self._scene.cylinder(radius, radius, length).material(colour, opacity).id)
        return ids

    def refresh(self) -> None:
        """Moves the skeletons to the newest measured joints and to the end of what is commanded."""
        view = self._visit.view
        measured = view.seen.measured
        if not self._fold.value or measured is None:
            return
        end_ns = view.commanded.end_ns
        target = view.commanded.target(end_ns) if end_ns is not None else None
        ghost = measured if target is None else np.where(np.isnan(target), measured, target)
        calls: list[list[Any]] = []
        for name, joints in (("measured", measured), ("ghost", ghost)):
            before = self._drawn.get(name)
            if before is None or np.abs(joints - before).max() > NEW_RAD:
                self._drawn[name] = joints
                calls += bone_calls(self._shapes[name], self._bones, self._positions(joints))
        if calls:
            self._scene.run_method("run_methods", calls)


def bone_calls(ids: list[str], bones: list[tuple[int, int]], positions: np.ndarray) -> list[list[Any]]:
    """Calls of the scene's own methods that put each cylinder between the two ends of its bone."""
    calls: list[list[Any]] = []
    for name, (link, parent) in zip(ids, bones, strict=True):
        begin, end = positions[parent], positions[link]
        middle = (begin + end) / 2
        calls.append(["move", name, *(round(float(value), 4) for value in middle)])
        calls.append(["rotate", name, along(end - begin).round(4).tolist()])
    return calls


def along(direction: np.ndarray) -> np.ndarray:
    """A rotation (3, 3) that turns the y axis, along which cylinders lie, into `direction` (3,)."""
    y = direction / max(float(np.linalg.norm(direction)), 1e-9)
    helper = np.array([1.0, 0.0, 0.0]) if abs(y[0]) < 0.9 else np.array([0.0, 0.0, 1.0])
    z = np.cross(helper, y)
    z /= np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z], axis=1)
