"""A trace as a figure: foresights, chunks by stage, what the robot follows, states; and the stages' latencies over time."""

from collections.abc import Sequence
from pathlib import Path

from dial_core.control.motion import NANOSECONDS
from dial_core.control.tracing import STAGES, TraceRow
from dial_core.errors import DialError

COLOURS = {"transport": "#9db4c0", "waiting": "#e0c068", "inference": "#4c78a8", "stitching": "#c44e52"}
STATE_COLOURS = {
    "running": "#d9ead3",
    "waiting": "#f3f3f3",
    "holding": "#fce5cd",
    "paused": "#fff2cc",
    "stopped": "#f4cccc",
    "disarmed": "#e6e6e6",
    "inactive": "#ffffff",
}
JUMP_NS = NANOSECONDS // 2
LANES = {"foresight": 3, "chunk": 2, "followed": 1, "refused": 0}


def draw_timeline(rows: Sequence[TraceRow], figure_path: Path, start_s: float, seconds: float) -> None:
    """Writes a figure of `seconds` [s] of a trace, from `start_s` [s] after its first row on.

    Of a trace in which the clock jumped back, the part after the last jump is drawn.

    Raises:
        DialError: nothing happened in that time.
    """
    if not rows:
        raise DialError("the trace is empty: System-1 wrote no row; was it active and given an instruction?")
    rows = rows[_last_jump(rows) :]
    origin_ns = min(row.exposed_ns or row.time_ns for row in rows)
    length_s = (max(row.time_ns for row in rows) - origin_ns) / NANOSECONDS
    shown = [row for row in rows if start_s <= (row.time_ns - origin_ns) / NANOSECONDS <= start_s + seconds]
    if not shown:
        raise DialError(f"nothing happened from {start_s} to {start_s + seconds} s; the trace is {length_s:.1f} s long (start_s, seconds)")
    from matplotlib.figure import Figure  # imported here because that is slow

    figure = Figure(figsize=(13, 6.4), layout="constrained")
    lanes, latency = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    _draw_states(lanes, rows, origin_ns, start_s + seconds)
    _draw_lanes(lanes, shown, origin_ns)
    _draw_latency(latency, shown, origin_ns)
    latency.set_xlim(start_s, start_s + seconds)
    latency.set_xlabel("time [s]")
    lanes.set_title("System-1: from exposure to command")
    figure_path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(figure_path, dpi=110)


def _last_jump(rows: Sequence[TraceRow]) -> int:
    """Index of the first row after the clock last jumped back; rows of two threads may lie a little out of order."""
    back = [k for k in range(1, len(rows)) if rows[k].time_ns < rows[k - 1].time_ns - JUMP_NS]
    return back[-1] if back else 0


def _s(time_ns: int, origin_ns: int) -> float:
    return (time_ns - origin_ns) / NANOSECONDS


def _draw_states(axes, rows: Sequence[TraceRow], origin_ns: int, end_s: float) -> None:
    """A coloured background for every state, its name along its beginning."""
    changes = [row for row in rows if row.kind == "state"]
    ends = [_s(row.time_ns, origin_ns) for row in changes[1:]] + [end_s]
    for row, until_s in zip(changes, ends, strict=True):
        begin_s, state = _s(row.time_ns, origin_ns), row.text.split(":")[0]
        axes.axvspan(begin_s, until_s, color=STATE_COLOURS.get(state, "#ffffff"), zorder=0, lw=0)
        axes.text(begin_s, 3.64, state, fontsize=7, va="top", rotation=90, clip_on=True)


def _draw_lanes(axes, rows: Sequence[TraceRow], origin_ns: int) -> None:
    sent = [row for row in rows if row.kind == "chunk" and row.sent_ns]
    stops_ns = [row.time_ns for row in rows if row.kind == "state" and row.text != "running"]
    for row in rows:
        if row.kind == "foresight" and not row.text:
            _bar(axes, "foresight", row.exposed_ns, row.received_ns, origin_ns, "#72a276")
        elif row.text and row.kind != "state":
            axes.plot(_s(row.time_ns, origin_ns), LANES["refused"], "x", color="#c44e52")
            axes.text(_s(row.time_ns, origin_ns), LANES["refused"] + 0.12, row.text[:40], fontsize=6, rotation=20, clip_on=True)
    for k, row in enumerate(sent):
        for stage, colour in COLOURS.items():
            begin, end = STAGES[stage]
            # Two heights, so that a chunk that begins before the last one is sent stays visible.
            _bar(axes, "chunk", getattr(row, begin), getattr(row, end), origin_ns, colour, shift=0.14 if k % 2 else -0.14)
        # Until the next one takes over, or System-1 leaves running and decelerates.
        ends = [later.takes_over_ns for later in sent[k + 1 : k + 2]] + [t for t in stops_ns if t > row.takes_over_ns]
        until_ns = min(ends, default=row.takes_over_ns + NANOSECONDS // 5)
        _bar(axes, "followed", row.takes_over_ns, until_ns, origin_ns, "#8172b3" if k % 2 else "#b3a6d9")
    for stage, colour in COLOURS.items():
        axes.barh(-9, 0, color=colour, label=stage)
    axes.set_ylim(-0.5, 3.7)
    axes.set_yticks(list(LANES.values()), ["frame to foresight", "frame to chunk", "chunk followed", "refused"])
    axes.legend(loc="lower right", fontsize=8, ncols=4)


def _bar(axes, lane: str, begin_ns: int, end_ns: int, origin_ns: int, colour: str, shift: float = 0.0) -> None:
    width_s = (end_ns - begin_ns) / NANOSECONDS
    axes.barh(LANES[lane] + shift, width_s, left=_s(begin_ns, origin_ns), height=0.24 if shift else 0.5, color=colour, zorder=2)


def _draw_latency(axes, rows: Sequence[TraceRow], origin_ns: int) -> None:
    """Each sent chunk as a stack of its stages [ms]."""
    sent = [row for row in rows if row.kind == "chunk" and row.sent_ns]
    times_s = [_s(row.exposed_ns, origin_ns) for row in sent]
    bottom = [0.0] * len(sent)
    for stage, colour in COLOURS.items():
        height = [1000 * row.stage_s(stage) for row in sent]
        axes.bar(times_s, height, bottom=bottom, width=0.03, color=colour, zorder=2)
        bottom = [low + more for low, more in zip(bottom, height, strict=True)]
    axes.plot(times_s, [1000 * row.estimated_delay_s for row in sent], color="black", lw=0.8, drawstyle="steps-post", label="delay used")
    axes.set_ylabel("exposure to command [ms]")
    axes.grid(axis="y", alpha=0.3)
    if sent:
        axes.legend(loc="upper right", fontsize=8)
