"""What a scenario gave: checks with what was measured, and the limits' use."""

from dataclasses import dataclass, field

from dial_ros.faults.limits import LimitUse


@dataclass(frozen=True)
class Check:
    """One thing that had to hold; `found` tells what was, with the value."""

    what: str
    held: bool
    found: str = ""


@dataclass
class Outcome:
    """Everything about one run of a scenario. Times [s] of the robot's clock since the fault began; None: not so in this scenario."""

    scenario: str
    checks: list[Check] = field(default_factory=list)
    told_after_s: float | None = None  # the named diagnostic
    stopping_after_s: float | None = None  # System-1 decelerates
    resting_after_s: float | None = None  # the set-points stand
    recovered_after_s: float | None = None  # since the cause went away
    chunks: int = 0
    use: LimitUse = field(default_factory=LimitUse)

    @property
    def passed(self) -> bool:
        """Every check held."""
        return bool(self.checks) and all(check.held for check in self.checks)

    def check(self, what: str, held: bool, found: str = "") -> None:
        """Adds a check."""
        self.checks.append(Check(what, bool(held), found))

    def check_time(self, what: str, value_s: float | None, limit_s: float) -> None:
        """Adds a check of a time that must be known and within a limit [s]."""
        found = "never" if value_s is None else f"{value_s:.2f} s"
        self.check(f"{what} within {limit_s:g} s", value_s is not None and value_s <= limit_s, found)
