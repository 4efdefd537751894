"""Which scenarios there are, and how one is played: a freely running robot, the fault, the judgement."""

from collections.abc import Callable, Iterable
from typing import Protocol

from dial_core.errors import DialError
from dial_ros.faults.deaths import DEATHS
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.requests import REQUESTS
from dial_ros.faults.stage import GraphUnderTest
from dial_ros.faults.stream_faults import STREAM_FAULTS
from dial_ros.faults.sweeps import SWEEPS


class Scenario(Protocol):
    """One fault. `play` begins with a freely running robot and fills the outcome."""

    @property
    def name(self) -> str:
        """How the table calls it."""
        ...

    @property
    def quick(self) -> bool:
        """Belongs to the short campaign."""
        ...

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Brings the fault about and checks what follows."""
        ...


GROUPS: dict[str, tuple[Scenario, ...]] = {
    "Streams": STREAM_FAULTS,
    "Instructions and parameters": REQUESTS,
    "Time": SWEEPS,
    "Ends and clock jumps": DEATHS,
}


def chosen_scenarios(quick: bool, part_of_name: str = "") -> list[Scenario]:
    """The scenarios of the short or the whole campaign whose name contains the given text.

    Raises:
        DialError: none does; the message lists the names.
    """
    every = [scenario for group in GROUPS.values() for scenario in group]
    chosen = [s for s in every if part_of_name in s.name and (s.quick or not quick)]
    if not chosen:
        raise DialError(f"no scenario has '{part_of_name}' in its name; there are: {', '.join(s.name for s in every)}")
    return chosen


def play(stage: GraphUnderTest, scenario: Scenario) -> Outcome:
    """One scenario from a freely running robot to its outcome; what a scenario could not wait out is a failed check."""
    outcome = Outcome(scenario.name)
    try:
        stage.run_freely()
        stage.witness.begin()
        scenario.play(stage, outcome)
    except DialError as error:
        outcome.check("came to its end", False, str(error))
    outcome.use = stage.witness.limit_use()
    outcome.chunks = len({(s.published_chunks, s.instruction_id) for s in stage.witness.statuses})
    rejected = stage.witness.rejected
    outcome.check("no rejected chunk", not rejected, f"{len(rejected)}: {rejected[0]}" if rejected else "")
    use = outcome.use
    found = f"outside {use.outside_rad:.4f} rad, velocity {use.velocity:.3f}, acceleration {use.acceleration:.3f} of the limit"
    outcome.check("limits kept", use.kept and use.set_points > 0, found)
    return outcome


def play_all(stage: GraphUnderTest, scenarios: Iterable[Scenario], repeats: int, told: Callable[[Outcome], None]) -> list[Outcome]:
    """Every scenario `repeats` times; `told` hears each outcome at once."""
    outcomes = []
    for scenario in scenarios:
        for _ in range(repeats):
            outcomes.append(play(stage, scenario))
            told(outcomes[-1])
    return outcomes
