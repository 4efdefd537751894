"""`dial record`, `dial convert bag`, `dial repair`, `dial replay`: from the robot to a dataset, and back onto the robot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import Workers, console

convert_app = typer.Typer(no_args_is_help=True, help="Turn recordings into LeRobot v3 datasets.")

Bags = Annotated[list[Path], typer.Argument(help="Bag folders, or folders of bag folders.", show_default=False)]


@convert_app.command("bag")
def convert_bag(
    sources: Annotated[list[Path], typer.Argument(help="SRC... DST: bags (or folders of bags), and at last the dataset to make.")],
    embodiment: Annotated[str, typer.Option(help="The robot: a name in config/embodiments/, or a YAML file.")] = "gr1",
    cameras: Annotated[str, typer.Option(help="Further cameras beside the first, by commas; empty: all of the embodiment's.")] = "",
    actions: Annotated[str, typer.Option(help="commands: the controllers' set-points a step later; next: the states then.")] = "commands",
    gaps: Annotated[str, typer.Option(help="drop: cut episodes at gaps; keep: fill them with the last frame, and report.")] = "drop",
    max_gap_s: Annotated[float, typer.Option(min=0.0, help="A frame older than this at its step is a gap [s].")] = 0.15,
    instruction: Annotated[str, typer.Option(help="For bags that carry none.")] = "",
    failures: Annotated[bool, typer.Option(help="Take in episodes that the operator called failures.")] = False,
    workers: Workers = 2,
) -> None:
    """Convert rosbag2 folders (`dial record`, `ros2 bag record`) into a LeRobot v3 dataset.

    Frames, joints and actions are brought to the control rate by the code with which the live System-1 forms its
    observation; idle ends are cut. `DST/report/report.md` shows rates, gaps, joint ranges and frames, and warns of what
    would hurt training. A bag that cannot be converted is named with the reason; the others go on. Interrupted, the same
    command goes on where it was.
    """
    from dial_core.data.bag_conversion import Conversion, convert_bags
    from dial_core.data.bag_resampling import Resampling
    from dial_core.errors import DialError

    if len(sources) < 2:
        raise DialError("name at least one bag and, at last, the dataset to make: dial convert bag SRC... DST")
    for name, value, choices in (("--actions", actions, ("commands", "next")), ("--gaps", gaps, ("drop", "keep"))):
        if value not in choices:
            raise DialError(f"{name} is '{value}'; choose one of: {', '.join(choices)}")
    *bags, out = sources
    named = tuple(name.strip() for name in cameras.split(",") if name.strip())
    resampling = Resampling(actions=actions, gaps=gaps, max_gap_s=max_gap_s)
    reports = convert_bags(bags, out, Conversion(embodiment, named, instruction, failures, resampling), workers)
    for report in reports:
        if not report.episodes:
            console.print(f"[yellow]{report.name}[/]: {report.reason}", highlight=False)
    episodes = sum(len(report.episodes) for report in reports)
    console.print(f"[bold]{episodes}[/] episodes in {out}; look at {out / 'report/report.md'} before you train", highlight=False)


def repair(bags: Bags) -> None:
    """Complete bags whose recorder was killed: index and metadata, as if they had been closed then."""
    from dial_core.bags.repair import repair as run
    from dial_core.bags.repair import unfinished_bags

    for source in bags:
        found = [source] if any(source.glob("*.mcap")) else unfinished_bags(source)
        for folder in found:
            console.print(f"{folder}: {run(folder)} messages kept", highlight=False)
        if not found:
            console.print(f"{source}: no unfinished bag in it", highlight=False)
