"""The campaign's results as a page: one row a scenario, counts first, what failed in words below."""

from collections.abc import Callable, Sequence

from dial_ros.faults.outcome import Outcome
from dial_ros.faults.soak import Soak

HEADER = (
    "| fault | passed | told after [s] | decelerates after [s] | rests after [s] | recovers after [s] "
    "| set-points judged | velocity | acceleration |\n|---|---|---|---|---|---|---|---|---|"
)
EXPLANATION = """\
Real processes on DDS; the simulated robot's controllers follow joint_trajectory_controller's rules. Times are the slowest of
all repeats, in seconds of the robot's clock since the first spoilt message (or the signal). A dash: the fault asks for none.
Velocity and acceleration are the largest share of a joint's limit in the set-points that the controllers commanded, one
every 10 ms: 1 is the limit. A row passes if every check of it held: the named diagnostic within 0.5 s, deceleration within
the horizon of 0.8 s where the robot must hold, no trajectory rejected by a controller, no limit exceeded, and chunks again
by themselves once the cause is gone. The robot's own death stops the clock, so its diagnostic has a limit of wall time:
System-1's clock_timeout of 3 s and half a second.
"""


def page(outcomes: Sequence[Outcome], soaked: Soak | None, command: str, when: str, machine: str) -> str:
    """The whole page. `command` made it, `when` and on which `machine`."""
    parts = ["# Fault campaign", f"`{command}`, {when}, {machine}.", EXPLANATION.strip()]
    if outcomes:
        passed = sum(outcome.passed for outcome in outcomes)
        rejected = sum(not check.held for outcome in outcomes for check in outcome.checks if check.what == "no rejected chunk")
        set_points = sum(outcome.use.set_points for outcome in outcomes)
        parts.append(f"**{passed} of {len(outcomes)} runs passed**; {set_points} set-points judged, {rejected} runs with a rejected chunk.")
        parts.append("\n".join([HEADER, *_rows(outcomes)]))
        parts.append(_failures(outcomes))
    if soaked is not None:
        parts.append(_soak_section(soaked))
    return "\n\n".join(part for part in parts if part) + "\n"


def line(outcome: Outcome) -> str:
    """One outcome in one line, for the terminal."""
    failed = [f"{check.what} ({check.found})" for check in outcome.checks if not check.held]
    return f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.scenario}" + (f": {'; '.join(failed)}" if failed else "")


def _rows(outcomes: Sequence[Outcome]) -> list[str]:
    by_name: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_name.setdefault(outcome.scenario, []).append(outcome)
    return [_row(name, runs) for name, runs in by_name.items()]


def _row(name: str, runs: list[Outcome]) -> str:
    def slowest(time_of: Callable[[Outcome], float | None]) -> str:
        times = [time_s for run in runs if (time_s := time_of(run)) is not None]
        return f"{max(times):.2f}" if times else "-"

    cells = [
        name,
        f"{sum(run.passed for run in runs)}/{len(runs)}",
        slowest(lambda run: run.told_after_s),
        slowest(lambda run: run.stopping_after_s),
        slowest(lambda run: run.resting_after_s),
        slowest(lambda run: run.recovered_after_s),
        str(sum(run.use.set_points for run in runs)),
        f"{max(run.use.velocity for run in runs):.2f}",
        f"{max(run.use.acceleration for run in runs):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _failures(outcomes: Sequence[Outcome]) -> str:
    lines = [f"- {line(outcome).removeprefix('FAILED').strip()}" for outcome in outcomes if not outcome.passed]
    return "\n".join(["## What failed", "", *lines]) if lines else ""


def _soak_section(soaked: Soak) -> str:
    rows = [
        f"| {node} | {samples[0][1]:.0f} | {samples[-1][1]:.0f} | {soaked.growth_mb_per_hour(node):+.1f} |"
        for node, samples in soaked.memory.items()
    ]
    use = soaked.use
    return "\n".join(
        [
            f"## Continuous running, {soaked.minutes:g} minutes",
            "",
            f"{'Passed' if soaked.passed else 'FAILED'}. {soaked.instructions} instructions, {soaked.chunks} chunks, of which "
            f"{soaked.rejected_chunks} dropped by System-1 and {soaked.rejected_trajectories} trajectories rejected by controllers; "
            f"{soaked.lost_frames} camera frames and {soaked.lost_foresights} foresights lost; not running for "
            f"{soaked.seconds_not_running:.1f} s (a new instruction waits for its first foresight).",
            "",
            f"{use.set_points} set-points: at most {use.velocity:.2f} of a velocity limit and {use.acceleration:.2f} of an "
            "acceleration limit.",
            "",
            "| node | memory at the start [MB] | at the end [MB] | growth after the first fifth [MB/h] |",
            "|---|---|---|---|",
            *rows,
        ]
    )
