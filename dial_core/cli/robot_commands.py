"""`dial embodiment`: a robot's YAML from its URDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import console

GROUPS = [
    "left_arm=left_(shoulder|elbow|wrist).*",
    "right_arm=right_(shoulder|elbow|wrist).*",
    "left_hand=left_hand.*",
    "right_hand=right_hand.*",
    "waist=waist.*",
]


def embodiment(
    urdf: Annotated[Path, typer.Argument(help="The robot's URDF, processed (no xacro).")],
    out: Annotated[Path, typer.Argument(help="New YAML; its name becomes the embodiment's.")],
    base: Annotated[str, typer.Option(help="Link in whose frame wrist poses are expressed.")] = "pelvis",
    left_wrist: Annotated[str, typer.Option(help="Link whose pose stands for the left hand.")] = "left_wrist_yaw_link",
    right_wrist: Annotated[str, typer.Option(help="Link whose pose stands for the right hand.")] = "right_wrist_yaw_link",
    group: Annotated[list[str], typer.Option(help="GROUP=REGEX that a joint's whole name matches; repeat, in vector order.")] = GROUPS,
    rate_hz: Annotated[float, typer.Option(help="Control rate [Hz].")] = 20.0,
) -> None:
    """Write a first embodiment YAML: joints, limits, kinematic tree, one controller for each group. The defaults fit Unitree's G1.

    Mimic joints are never commanded. Then review the file: home pose, velocities, camera, and the controllers' names are
    yours to set. docs/embodiments.md goes through it step by step.
    """
    from dial_core.errors import DialError
    from dial_core.files.atomic import write_text
    from dial_core.robot.embodiment_from_urdf import embodiment_from_urdf, remarks, to_yaml
    from dial_core.robot.urdf import read_urdf

    if out.exists():
        raise DialError(f"{out} exists already; choose another file")
    pairs = [word.partition("=") for word in group]
    if wrong := ["".join(pair) for pair in pairs if not all(pair)]:
        raise DialError(f"--group takes GROUP=REGEX, got {', '.join(wrong)}")
    groups = {name: pattern for name, _, pattern in pairs}
    robot = read_urdf(urdf)
    values = embodiment_from_urdf(robot, out.stem, base, (left_wrist, right_wrist), groups, rate_hz)
    write_text(out, to_yaml(values, f"Made by `dial embodiment {urdf.name}`: check home, velocities, accelerations, camera, controllers."))
    for remark in remarks(robot, values):
        console.print(remark, highlight=False)
    console.print(f"[bold]{out}[/]: {len(values['joints'])} joints, {len(values['controllers'])} controllers, {len(values['links'])} links")
