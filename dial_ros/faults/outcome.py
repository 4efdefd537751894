"""What one run of a scenario gave: checks with what was measured, and the use of the limits."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dial_core.files.atomic import write_text
from dial_ros.faults.limits import LimitUse


@dataclass(frozen=True)
class Check:
    """One thing that had to hold; `found` is what was, with the value."""

    what: str
    held: bool
    found: str = ""


@dataclass
class Outcome:
    """One run of a scenario. Times [s] of the robot's clock since the fault began; None: not measured in this scenario."""

    scenario: str
    checks: list[Check] = field(default_factory=list)
    reported_after_s: float | None = None  # the named diagnostic
    stopping_after_s: float | None = None  # System-1 decelerates
    resting_after_s: float | None = None  # the set-points rest
    recovered_after_s: float | None = None  # since the fault ended
    chunks: int = 0
    use: LimitUse = field(default_factory=LimitUse)
    expects_rejections: bool = False  # the fault makes controllers reject trajectories
    held_for: list[str] = field(default_factory=list)  # why System-1 held beside the fault, where that is accounted for
    busy_processes: int = 0  # beside the graph
    load_average: float = 0.0  # of the machine in the last minute

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return bool(self.checks) and all(check.held for check in self.checks)

    def check(self, what: str, held: object, found: str = "") -> None:
        """Adds a check."""
        self.checks.append(Check(what, bool(held), found))

    def check_time(self, what: str, value_s: float | None, limit_s: float) -> None:
        """Adds a check of a time that must be known and within a limit [s]."""
        found = "never" if value_s is None else f"{value_s:.2f} s"
        self.check(f"{what} within {limit_s:g} s", value_s is not None and value_s <= limit_s, found)


def load_outcomes(file: Path) -> list[Outcome]:
    """The outcomes of a JSON-lines file, in order; none if it does not exist."""
    return [_from_json(values) for values in load_runs(file)]


def save_outcomes(file: Path, outcomes: list[Outcome]) -> None:
    """Writes outcomes as a JSON-lines file that `load_outcomes` reads."""
    save_runs(file, outcomes)


def load_runs(file: Path) -> list[dict[str, Any]]:
    """The recorded runs of a JSON-lines file as plain values, in order; none if it does not exist."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def save_runs(file: Path, runs: Sequence[Any]) -> None:
    """Writes dataclasses as a JSON-lines file that `load_runs` reads."""
    write_text(file, "".join(json.dumps(asdict(run)) + "\n" for run in runs))


def _from_json(values: dict) -> Outcome:
    checks, use = [Check(**check) for check in values.pop("checks")], LimitUse(**values.pop("use"))
    return Outcome(checks=checks, use=use, **values)
