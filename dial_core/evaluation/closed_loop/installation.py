"""Installs a benchmark's Python environment: a venv with pinned packages, the benchmark's own source, its patches, its assets."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.benchmark import Benchmark, Source, environment_facts
from dial_core.evaluation.closed_loop.source_state import apply_patch
from dial_core.files.atomic import write_json

FACTS = "environment.json"
PYTHONS = ((3, 11), (3, 12))  # numpy 1.26.4 and scipy 1.17.1 both have wheels for these
Report = Callable[[str], None]


def install(benchmark: Benchmark, report: Report, assets: bool = True) -> dict:
    """Makes or completes the benchmark's environment and returns what it holds; steps that are done already are skipped.

    Args:
        benchmark: whose `installation` says what.
        report: takes a line about each step.
        assets: whether to fetch them; without, a complete installation has them put there by hand.

    Raises:
        DialError: this Python does not fit, a step failed (with the end of its output), or something is missing at the end.
    """
    wanted = benchmark.installation
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        raise DialError(
            f"environment '{wanted.name}' needs Python 3.11 or 3.12, this is {sys.version.split()[0]}; run `dial` with one of those"
        )
    folder = wanted.python.parent.parent
    if not wanted.python.is_file():
        report(f"making {folder}")
        venv.create(folder, with_pip=True)
    report(f"installing {', '.join(wanted.packages)}")
    _pip(wanted.python, *wanted.packages)
    if wanted.source:
        _install_source(wanted.source, wanted.python, wanted.clone, report)
        if assets and wanted.missing_assets(wanted.clone / wanted.reported[0]):
            report("fetching assets; many gigabytes")
            script = wanted.clone / wanted.source.download
            _run([str(wanted.python), script.name, "-y"], cwd=script.parent, shown=True)
    facts = environment_facts(benchmark)
    write_json(folder / FACTS, facts)
    return facts


def _install_source(source: Source, python: Path, folder: Path, report: Report) -> None:
    if not folder.is_dir():
        if shutil.which("git") is None:
            raise DialError("git is missing; install it, or clone the source by hand and run this again")
        report(f"cloning {source.repository}")
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        _run(["git", "clone", "--quiet", source.repository, str(partial)])
        partial.rename(folder)
    _run(["git", "checkout", "--quiet", source.commit], cwd=folder)
    for name in source.patches:
        report(f"patch {name}: {'applied' if apply_patch(name, folder) else 'was there'}")
    report(f"installing {folder}")
    # Its setup.py also asks for tianshou, which it never imports and which brings torch with CUDA: gigabytes.
    _pip(python, "--no-deps", "--editable", str(folder))


def _pip(python: Path, *what: str) -> None:
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what])


def _run(command: list[str], cwd: Path | None = None, shown: bool = False) -> None:
    """`shown`: its output goes to the terminal as it comes: a download takes hours."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=not shown, text=True, check=False)
    if done.returncode:
        last = "see its output above" if shown else " | ".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        raise DialError(f"`{' '.join(command)}` failed with {done.returncode}: {last}")
