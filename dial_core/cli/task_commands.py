"""`dial tasks`: lists and draws the tasks of the tabletop benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from dial_core.cli.options import console, results


def tasks(
    suite: Annotated[str, typer.Option(help="Suite, by its file in config/suites/.")] = "in_distribution",
    sheet: Annotated[Path | None, typer.Option(help="Also draw the first image of every task to this PNG.")] = None,
    objects: Annotated[Path | None, typer.Option(help="Also draw every type of object that the suite asks for to this PNG.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="First scene shown; each task shows its own.")] = 100_000,
    cell_px: Annotated[int, typer.Option(min=64, help="Side of an image on a sheet [px].")] = 256,
    columns: Annotated[int, typer.Option(min=1, help="Images side by side.")] = 6,
) -> None:
    """List the tasks of a suite with the instruction of one scene each, and the words of its instructions; draw them on a contact sheet."""
    from dial_core.sim.catalogue import load_object
    from dial_core.sim.contact_sheet import draw_objects, draw_suite
    from dial_core.sim.scene import scene_of
    from dial_core.sim.suite import load_suite

    loaded = load_suite(suite)
    table = Table(Column("task", no_wrap=True), "object types", "steps", f"scene {seed}", title=f"{loaded.name}: {loaded.description}")
    for task in loaded.tasks:
        scene = scene_of(task, seed)
        table.add_row(task.name, str(len(task.objects)), str(task.max_steps), scene.instruction)
    results.print(table)
    for what, things in (
        ("objects", [name for task in loaded.tasks for name in task.objects]),
        ("sources and targets", [name for task in loaded.tasks for name in (task.source, task.target)]),
    ):
        results.print(f"[bold]{what}[/]: {', '.join(dict.fromkeys(load_object(name).called for name in things))}", highlight=False)
    phrases = dict.fromkeys(phrase for task in loaded.tasks for phrase in task.instructions)
    results.print("[bold]instructions[/]:", *phrases, sep="\n  ", highlight=False, markup=True)
    if sheet:
        draw_suite(loaded, seed, cell_px, columns, sheet)
        console.print(f"[bold]{sheet}[/]")
    if objects:
        draw_objects(dict.fromkeys(name for task in loaded.tasks for name in task.objects), cell_px, columns, objects)
        console.print(f"[bold]{objects}[/]")
