"""`dial sim`, `demo`, `instruct`, `stop`, `pause`, `resume`, `status`: a simulation, and commands to a running robot."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

import typer

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}  # options are the program's own
PANEL = "On a running robot or simulation"

# Command -> module, its first words, and what it does. The core does not import ROS: each one becomes the program.
PROGRAMS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "sim": ("dial_ros.bringup.runner", ("sim",), "Start the simulated robot with both systems, and say when it is ready. Ctrl-C ends it."),
    "teleoperate": (
        "dial_ros.bringup.runner",
        ("teleoperate",),
        "Move the simulated robot by keys on the operator page, and record demonstrations by hand.",
    ),
    "demo": (
        "dial_ros.tools.demo",
        (),
        "Run three tasks in simulation, through the real nodes; figures and films in `out/demo`.",
    ),
    "instruct": ("dial_ros.tools.operate", ("instruct",), 'Give the robot a task: `dial instruct "put the can on the plate"`.'),
    "stop": ("dial_ros.tools.operate", ("stop",), "Emergency stop, latched; `--reset` unlatches it."),
    "pause": ("dial_ros.tools.operate", ("pause",), "Decelerate and stay, until `dial resume`."),
    "resume": ("dial_ros.tools.operate", ("resume",), "End a pause; the same instruction continues."),
    "status": ("dial_ros.tools.operate", ("status",), "Show what every node reports."),
    "play": ("dial_ros.operator.playback", (), "Play a recorded bag in the operator page: scrub, and see chunks against what happened."),
}


def add_to(app: typer.Typer) -> None:
    """Adds the commands to `app`."""
    for name, (module, words, about) in PROGRAMS.items():
        app.command(name, help=about, context_settings=PASSED_ON, rich_help_panel=PANEL)(_command(name, module, words))


def _command(name: str, module: str, words: tuple[str, ...]) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        become(module, *words, *context.args, called=f"dial {name}")

    return run


def become(module: str, *words: str, called: str = "") -> NoReturn:
    """Replaces this process by a program of dial_ros. `called`: the name that its help shows."""
    if called:
        os.environ["DIAL_PROG"] = called
    os.execv(sys.executable, [sys.executable, "-m", module, *words])
