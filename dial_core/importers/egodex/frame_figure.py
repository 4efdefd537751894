"""Draws the frames of `human_frames` for docs/data.md: `python -m dial_core.importers.egodex.frame_figure`.

The person and the poses are made up; the transforms drawn are those that the converter computes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

from dial_core.importers.egodex.human_frames import EYE_IN_BASE_M, frame_from_world, inverse, wrist_vectors
from dial_core.robot.rotations import from_axis_angle

AXES = (("x", "#c0392b"), ("y", "#27ae60"), ("z", "#2c5fb8"))
BOW_RAD, TURN_RAD = 0.65, 0.35  # of the person's head
EYE_M = (0.15, 1.25, 0.1)  # in the world


def example_camera() -> np.ndarray:
    """T_world_camera (4, 4) of a person looking down at a table and a little to the left."""
    level = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    turn, bow = (from_axis_angle(np.array([axis]))[0] for axis in ([0, TURN_RAD, 0], [-BOW_RAD, 0, 0]))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn @ bow @ level, EYE_M
    return pose


def example_wrists(camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T_world_wrist (1, 4, 4) of both hands, in front of the example camera."""
    in_robot = np.tile(np.eye(4), (2, 1, 1))
    in_robot[:, :3, 3] = [[0.42, 0.12, 0.12], [0.38, -0.28, 0.1]]
    left, right = inverse(frame_from_world(camera, "robot")) @ in_robot
    return left[None], right[None]


def draw(path: Path) -> Path:
    """The figure at `path`: world, camera0 and robot frames from the side, and the wrists in numbers."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    camera = example_camera()
    left, right = example_wrists(camera)
    figure = pyplot.figure(figsize=(10.5, 5.2))
    axes = figure.add_subplot(1, 2, 1, projection="3d")
    poses = {
        "world (ARKit): y up": np.eye(4),
        "camera0: x right, y down, z ahead": camera,
        "robot: x ahead, y left, z up": inverse(frame_from_world(camera, "robot")),
    }
    for number, (name, pose) in enumerate(poses.items()):
        _draw_frame(axes, pose, name, below=number != 1)
    for name, wrist in (("left wrist", left[0]), ("right wrist", right[0])):
        axes.scatter(*_drawn(wrist[:3, 3]), color="#333333", s=24)
        axes.text(*_drawn(wrist[:3, 3] + [0, 0.04, 0]), name, fontsize=8, ha="center")
        ends = np.stack([_drawn(camera[:3, 3]), _drawn(wrist[:3, 3])], 1)
        axes.plot(*ends, color="#999999", linewidth=0.8, linestyle=":")
    axes.set(xlabel="world x [m]", ylabel="world -z [m]", zlabel="world y [m]")
    axes.set_box_aspect((1, 1.2, 1.4))
    axes.set_xlim(-0.5, 0.6), axes.set_ylim(-0.4, 0.9), axes.set_zlim(-0.1, 1.4)
    axes.view_init(elev=18, azim=-38)
    numbers = figure.add_subplot(1, 2, 2)
    numbers.axis("off")
    rows = [_row("camera", camera, left, right), _row("robot", camera, left, right)]
    table = numbers.table(
        rows, colLabels=["--frame", "left wrist [m]", "right wrist [m]"], loc="center", cellLoc="center", colWidths=[0.18, 0.4, 0.4]
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.8)
    note = f"The same two wrists as `dial convert egodex` stores them.\nIn `robot`, the eye stands at {EYE_IN_BASE_M} m, the GR1's own."
    numbers.text(0.5, 0.27, note, ha="center", fontsize=9, transform=numbers.transAxes)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def _draw_frame(axes, pose: np.ndarray, name: str, below: bool) -> None:
    origin = _drawn(pose[:3, 3])
    for column, (letter, colour) in enumerate(AXES):
        tip = pose[:3, 3] + 0.2 * pose[:3, column]
        axes.plot(*np.stack([origin, _drawn(tip)], 1), color=colour, linewidth=2)
        axes.text(*_drawn(pose[:3, 3] + 0.25 * pose[:3, column]), letter, color=colour, fontsize=9)
    axes.text(*(origin + np.array([0, 0, -0.16 if below else 0.26])), name, fontsize=8, ha="center")


def _drawn(point: np.ndarray) -> np.ndarray:
    """The figure stands upright: its z is the world's y, its depth the world's -z."""
    return np.array([point[0], -point[2], point[1]])


def _row(frame, camera: np.ndarray, left: np.ndarray, right: np.ndarray) -> list[str]:
    vector = wrist_vectors(left, right, frame_from_world(camera, frame))[0]
    return [frame, *("(" + ", ".join(f"{value:+.2f}" for value in part) + ")" for part in (vector[:3], vector[9:12]))]


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/images/human_frames.png"))
