"""Options and data of the page's charts (Apache ECharts): a joint's motion, and the foresight's error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dial_core.control.motion import NANOSECONDS
from dial_core.robot.embodiment import Joint
from dial_ros.operator.commanded_motion import HISTORY_S, CommandedMotion, Curve
from dial_ros.operator.markup import BLUE, GREEN, GREY, PURPLE, YELLOW
from dial_ros.operator.robot_view import Seen

AHEAD_S = 1.0  # of commanded motion that is shown
ERRORS_SHOWN_S = 30.0
LEAST_REACH_RAD = 0.2  # of the position axis
MOST_POINTS = 90  # of a curve
PARTS = {  # name -> colour, width, dash
    "measured": (BLUE, 3, "solid"),
    "commanded": (PURPLE, 2, "solid"),
    "committed": (YELLOW, 4, "solid"),
    "new": (GREEN, 3, "solid"),
    "replaced": (GREY, 2, "dashed"),
}


def motion_options(title: str) -> dict[str, Any]:
    """Options of one joint's chart: time relative to now [s] against position [rad]."""
    series = [
        {"name": name, "type": "line", "showSymbol": False, "data": [], "color": colour, "lineStyle": {"width": width, "type": dash}}
        for name, (colour, width, dash) in PARTS.items()
    ]
    return {
        "animation": False,
        "grid": {"left": 58, "right": 28, "top": 34, "bottom": 26},
        "title": {"text": title, "textStyle": {"fontSize": 15}, "left": 0, "top": 0},
        "legend": {"data": list(PARTS), "top": 0, "right": 0, "itemWidth": 18, "textStyle": {"fontSize": 14}},
        "xAxis": {
            "type": "value",
            "name": "s",
            "min": -HISTORY_S,
            "max": AHEAD_S,
            "axisLabel": {"fontSize": 13},
            "axisLine": {"onZero": False},
        },
        "yAxis": {"type": "value", "scale": True, "axisLabel": {"fontSize": 13}, "axisLine": {"onZero": False}},
        "series": series,
    }


def motion_series(seen: Seen, commanded: CommandedMotion, joint: Joint, column: int) -> dict[str, Any]:
    """The changing part of a joint's chart: curves, the moments now and splice, and limits that are near."""
    now_ns = seen.robot_ns
    if now_ns is None:
        return {"series": []}
    now_s = now_ns / NANOSECONDS
    plan = commanded.plan(joint.name, now_ns)
    measured = [(at_ns / NANOSECONDS, float(q[column])) for at_ns, q in seen.joints]
    curves = [measured, plan.past, plan.committed, plan.new, plan.replaced]
    series: list[dict[str, Any]] = [{"data": _relative(curve, now_s)} for curve in curves]
    moments: list[dict[str, Any]] = [{"xAxis": 0, "label": {"formatter": "now"}}]
    if plan.splice_s is not None and -HISTORY_S < plan.splice_s - now_s < AHEAD_S:
        moments.append({"xAxis": round(plan.splice_s - now_s, 3), "label": {"formatter": "splice", "position": "insideStartTop"}})
    values = [q for curve in curves for _, q in curve]
    shown = [min(values), max(values)] if values else [joint.lower, joint.upper]
    reach = max(shown[1] - shown[0], LEAST_REACH_RAD)
    for name, limit in (("lower", joint.lower), ("upper", joint.upper)):
        if shown[0] - reach < limit < shown[1] + reach:  # one far away would flatten the curves
            moments.append({"yAxis": limit, "label": {"formatter": f"{name} limit"}})
            shown = [min(shown[0], limit), max(shown[1], limit)]
    label = {"position": "insideEndTop", "fontSize": 13}
    mark = {"silent": True, "symbol": "none", "animation": False, "lineStyle": {"color": "#5f6368"}, "label": label, "data": moments}
    series[0]["markLine"] = mark
    margin = 0.05 * reach
    return {"series": series, "yAxis": {"min": round(shown[0] - margin, 2), "max": round(shown[1] + margin, 2)}}


def error_options() -> dict[str, Any]:
    """Options of the chart of the foresight's error."""
    line: dict[str, Any] = {"type": "line", "showSymbol": False, "data": []}
    return {
        "animation": False,
        "grid": {"left": 58, "right": 28, "top": 30, "bottom": 26},
        "legend": {"data": ["foresight", "expecting no change"], "top": 0, "right": 0, "textStyle": {"fontSize": 14}},
        "xAxis": {"type": "value", "name": "s", "min": -ERRORS_SHOWN_S, "max": 0, "axisLabel": {"fontSize": 13}},
        "yAxis": {"type": "value", "min": 0, "axisLabel": {"fontSize": 13}},
        "series": [
            line | {"name": "foresight", "color": GREEN, "lineStyle": {"width": 3}},
            line | {"name": "expecting no change", "color": GREY, "lineStyle": {"width": 2, "type": "dashed"}},
        ],
    }


def error_series(seen: Seen) -> dict[str, Any]:
    """The changing part of the error's chart."""
    now_s = seen.clock_s()
    shown = [(at_s, error, unchanged) for at_s, error, unchanged in seen.errors if 0 <= now_s - at_s <= ERRORS_SHOWN_S]
    return {
        "series": [
            {"data": [[round(at_s - now_s, 2), round(error, 4)] for at_s, error, _ in shown]},
            {"data": [[round(at_s - now_s, 2), round(unchanged, 4)] for at_s, _, unchanged in shown]},
        ]
    }


def _relative(curve: Curve, now_s: float) -> list[list[float]]:
    shown: Sequence[tuple[float, float]] = [(at_s, q) for at_s, q in curve if -HISTORY_S <= at_s - now_s <= AHEAD_S]
    step = max(1, len(shown) // MOST_POINTS)
    return [[round(at_s - now_s, 3), round(q, 4)] for at_s, q in shown[::step]]
