"""`dial robocasa setup|check`: the Python environment of the original benchmark."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from dial_core.cli.options import console, results

robocasa_app = typer.Typer(no_args_is_help=True, help="The original benchmark, in a Python environment of its own (docs/robocasa.md).")
RobosuiteOnly = Annotated[
    bool, typer.Option("--robosuite-only", help="Only robosuite's GR1, all from PyPI: suite `robosuite_gr1`, no assets (1.3 GB).")
]


@robocasa_app.command()
def setup(
    robosuite_only: RobosuiteOnly = False,
    assets: Annotated[bool, typer.Option(help="Fetch the benchmark's assets; --no-assets where they are put there by hand.")] = True,
) -> None:
    """Install the benchmark's environment: pinned packages, its source at a known commit, the `basket_4` patch, assets.

    It lies in ~/.local/share/dial/environments, or where DIAL_ENVIRONMENTS says. Called again, it completes what is missing.
    """
    from dial_core.evaluation.closed_loop.installation import install

    facts = install(_benchmark(robosuite_only), lambda line: console.print(line, highlight=False), assets)
    _show(robosuite_only, facts)


@robocasa_app.command()
def check(robosuite_only: RobosuiteOnly = False) -> None:
    """Show which versions and assets are installed, and the hash of them that goes into a protocol. Fails where something is missing."""
    from dial_core.evaluation.closed_loop.benchmark import environment_facts

    _show(robosuite_only, environment_facts(_benchmark(robosuite_only)))


def _benchmark(robosuite_only: bool):
    from dial_core.evaluation.closed_loop.benchmark import load_benchmark

    return load_benchmark("robosuite_gr1" if robosuite_only else "robocasa_gr1")


def _show(robosuite_only: bool, facts: dict) -> None:
    from dial_core.evaluation.closed_loop.benchmark import environment_id

    benchmark = _benchmark(robosuite_only)
    table = Table("", "", title=str(benchmark.installation.python.parent.parent))
    rows = {"python": facts["python"], **facts["packages"], **_source_rows(benchmark, facts.get("source"))}
    for name, value in {**rows, "assets": facts["assets"] or "none of its own"}.items():
        table.add_row(name, value)
    table.add_row("environment", environment_id(facts))
    results.print(table)
    suites = ", ".join(benchmark.suites)
    results.print(f"Suites: {suites}. Protocols: {', '.join(benchmark.protocols)}.")


def _source_rows(benchmark, source: dict | None) -> dict[str, str]:
    """The rows of the table on the clone; none for an environment that is all from PyPI."""
    if source is None:
        return {}
    pinned = benchmark.installation.source.commit
    commit = source["commit"][:12] + ("" if source["commit"] == pinned else f" [yellow](pinned is {pinned[:12]})[/]")
    changed = ", ".join(source["changed"])
    return {
        "commit": commit,
        "patches": ", ".join(source["patches"]) or "none",
        "other changes": f"[yellow]{changed}[/]" if changed else "none",
    }
