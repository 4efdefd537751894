"""The campaign's results as a page: who injected what, one row a scenario and load, counts first, failures in words below."""

from collections.abc import Callable, Sequence

from dial_ros.faults.campaign import GROUPS
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.soak import Soak

COMMAND = "python -m dial_ros.faults --resume"
HEADER = (
    "| fault | load | passed | reported after [s] | decelerates after [s] | rests after [s] | recovers after [s] "
    "| set-points judged | velocity | acceleration |\n|---|---|---|---|---|---|---|---|---|---|"
)
EXPLANATION = """\
Real processes on DDS: `system1`, `system2` and `mujoco_robot`, whose emulated controllers follow joint_trajectory_controller's
rules. They update at 1 kHz and take new trajectories every 10 ms; every set-point that they command is judged against the limits
of position, velocity and acceleration of `config/embodiments/gr1.yaml`. Velocity and acceleration are the largest share of a
joint's limit, by finite differences over 1 ms: 1 is the limit. One set-point that jumps by a milliradian is 40 of an arm's
acceleration limit.

Times are the slowest of all repeats, in seconds of the robot's clock since the first corrupted message (or the signal, or the
request). A dash: not measured for this fault. A row passes if every check of it held: the named diagnostic in time, deceleration
within the horizon of 0.8 s where the robot must hold, no trajectory rejected by a controller (but where the fault is that they
reject), no limit exceeded, and chunks again once the fault is over, after a new instruction where System-1 has disarmed. The
robot's own end stops the clock, so its diagnostic has a limit of wall time: System-1's `clock_timeout` of 3 s and half a second.

Load: busy processes that the campaign ran beside the nodes, at their priority, for the whole row, and in brackets the load average
of the machine at the row's end, which counts everything that ran on it.
"""


def page(outcomes: Sequence[Outcome], soaks: Sequence[Soak], when: str, machine: str) -> str:
    """The whole page; `when` it was made and on which `machine`."""
    parts = ["# Fault campaign", f"`{COMMAND}` (and with `--load 10`), {when}, {machine}.", EXPLANATION.strip()]
    if outcomes:
        parts.append(_summary(outcomes))
        for group in GROUPS:
            names = [scenario.name for scenario in group.scenarios]
            own = sorted((o for o in outcomes if o.scenario in names), key=lambda o: (names.index(o.scenario), o.busy_processes))
            if own:
                parts += [f"## {group.title}", f"Injected by: {group.injected}", "\n".join([HEADER, *_rows(own)])]
        parts += [_failures(outcomes), _holds(outcomes), _missing(outcomes, soaks)]
    parts += [_soak_section(soaked) for soaked in soaks]
    return "\n\n".join(part for part in parts if part) + "\n"


def line(outcome: Outcome) -> str:
    """One outcome in one line."""
    failed = [f"{check.what} ({check.found})" if check.found else check.what for check in outcome.checks if not check.held]
    return f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.scenario}" + (f": {'; '.join(failed)}" if failed else "")


def _summary(outcomes: Sequence[Outcome]) -> str:
    lines = []
    for busy in sorted({outcome.busy_processes for outcome in outcomes}):
        runs = [outcome for outcome in outcomes if outcome.busy_processes == busy]
        passed, kept = sum(outcome.passed for outcome in runs), sum(outcome.use.kept for outcome in runs)
        set_points = sum(outcome.use.set_points for outcome in runs)
        loads = f"load average {min(o.load_average for o in runs):.1f} to {max(o.load_average for o in runs):.1f}"
        lines.append(
            f"- **{_load_name(busy)}** ({loads}): {passed} of {len(runs)} runs passed, limits kept in {kept} of {len(runs)}; "
            f"{set_points} set-points judged."
        )
    return "\n".join(lines)


def _load_name(busy: int) -> str:
    return f"{busy} busy processes" if busy else "no busy processes"


def _rows(outcomes: Sequence[Outcome]) -> list[str]:
    runs_of: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        runs_of.setdefault((outcome.scenario, outcome.busy_processes), []).append(outcome)
    return [_row(name, busy, runs) for (name, busy), runs in runs_of.items()]


def _row(name: str, busy: int, runs: list[Outcome]) -> str:
    def slowest(time_of: Callable[[Outcome], float | None]) -> str:
        times = [time_s for run in runs if (time_s := time_of(run)) is not None]
        return f"{max(times):.2f}" if times else "-"

    cells = [
        name,
        f"{busy} ({max(run.load_average for run in runs):.1f})",
        f"{sum(run.passed for run in runs)}/{len(runs)}",
        slowest(lambda run: run.reported_after_s),
        slowest(lambda run: run.stopping_after_s),
        slowest(lambda run: run.resting_after_s),
        slowest(lambda run: run.recovered_after_s),
        str(sum(run.use.set_points for run in runs)),
        f"{max(run.use.velocity for run in runs):.2f}",
        f"{max(run.use.acceleration for run in runs):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _failures(outcomes: Sequence[Outcome]) -> str:
    lines = [
        f"- {line(outcome).removeprefix('FAILED').strip()} [{_load_name(outcome.busy_processes)}]"
        for outcome in outcomes
        if not outcome.passed
    ]
    return "\n".join(["## What failed", "", *lines]) if lines else ""


def _holds(outcomes: Sequence[Outcome]) -> str:
    """Holds of rows in which System-1 continues, with what it gave as the reason."""
    lines = [f"- {o.scenario}: {'; '.join(o.held_for)} [{_load_name(o.busy_processes)}]" for o in outcomes if o.held_for]
    return "\n".join(["## Held meanwhile", "", *lines]) if lines else ""


def _missing(outcomes: Sequence[Outcome], soaks: Sequence[Soak]) -> str:
    """What this page does not show, because it was not played."""
    every = [scenario.name for group in GROUPS for scenario in group.scenarios]
    lines = [] if soaks else ["- continuous running (`--minutes 30`)"]
    for busy in sorted({outcome.busy_processes for outcome in outcomes}):
        played = {outcome.scenario for outcome in outcomes if outcome.busy_processes == busy}
        if missing := [name for name in every if name not in played]:
            lines.append(f"- {_load_name(busy)}, {len(missing)} of {len(every)}: {', '.join(missing)}")
    return "\n".join(["## Not played", "", *lines]) if lines else ""


def _soak_section(soaked: Soak) -> str:
    rows = [
        f"| {node} | {samples[0][1]:.0f} | {samples[-1][1]:.0f} | {soaked.growth_mb_per_hour(node):+.1f} |"
        for node, samples in soaked.memory.items()
    ]
    use, load = soaked.use, f"{_load_name(soaked.busy_processes)} (load average {soaked.load_average:.1f})"
    return "\n".join(
        [
            f"## Continuous running, {soaked.minutes:g} minutes, {load}",
            "",
            f"{'Passed' if soaked.passed else 'FAILED'}. {soaked.instructions} instructions, {soaked.chunks} chunks; "
            f"{soaked.rejected_chunks} chunks dropped by System-1 and {soaked.rejected_trajectories} trajectories rejected by controllers; "
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
