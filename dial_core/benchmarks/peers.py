"""`dial bench peers`: the field's policies with random weights, on the same device, in the same run as ours."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from rich.table import Table

from dial_core.benchmarks.model_calls import bench_model
from dial_core.benchmarks.peer_program import PEERS
from dial_core.errors import DialError

INSTALL = 'python -m venv .venv-peers && .venv-peers/bin/pip install "lerobot[groot,pi]==0.6.2"'
ROOT = Path(__file__).resolve().parents[2]


def race(preset: str, python: Path, device: str, calls: int, names: tuple[str, ...] = tuple(PEERS)) -> list[dict]:
    """Rows of ours (System-2, System-1, and both one after the other) and of every peer: name, parameters, times in s.

    A peer's pass goes from the image to the chunk, as ours does when both systems run; at run time our System-1 alone
    follows the robot, and System-2 runs beside it.

    Args:
        python: interpreter of an environment that has lerobot.
        names: peers that race.

    Raises:
        DialError: there is no such environment, or a peer failed; the message holds the end of what it said.
    """
    if not python.exists():
        raise DialError(f"no interpreter at {python}. The peers live in an environment of their own: {INSTALL}")
    measured = {row.part: row for row in bench_model(preset, device, calls=calls).rows}
    first, second = measured["System-2"], measured["System-1"]
    rows = [_row(f"{preset}, {row.part}", row.parameters, row.median_s or 0.0, row.p99_s or 0.0) for row in (first, second)]
    parameters = first.parameters + second.parameters - measured["vision"].parameters  # both use the same tower
    rows.append(_row(f"{preset}, both", parameters, *(sum(row[key] for row in rows) for key in ("median_s", "p99_s"))))
    return rows + [_peer(name, python, device, calls) for name in names]


def table_of(rows: list[dict], device: str) -> Table:
    """The race for people, fastest last."""
    table = Table("policy", title=f"batch 1, random weights, {device}")
    for column in ("parameters", "median ms", "p99 ms"):
        table.add_column(column, justify="right")
    for row in sorted(rows, key=lambda row: -row["median_s"]):
        table.add_row(row["peer"], f"{row['parameters'] / 1e6:,.0f} M", f"{1e3 * row['median_s']:.1f}", f"{1e3 * row['p99_s']:.1f}")
    return table


def _row(name: str, parameters: int, median_s: float, p99_s: float) -> dict:
    return {"peer": name, "parameters": parameters, "median_s": median_s, "p99_s": p99_s}


def _peer(name: str, python: Path, device: str, calls: int) -> dict:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [str(python), "-m", "dial_core.benchmarks.peer_program", name, device, str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise DialError(f"peer {name} failed in {python}: {done.stderr.strip()[-800:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
