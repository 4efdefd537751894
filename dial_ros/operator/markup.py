"""The page's style, its charts and its small pieces of HTML: colours that stay apart for colour-blind eyes, and shapes beside them."""

from __future__ import annotations

from html import escape
from typing import Any

from dial_ros.operator.lights import SYMBOL, Light
from dial_ros.operator.robot_view import HISTORY_S

COLOUR = {"ok": "#1a7f4b", "warn": "#b35900", "bad": "#b3261e", "off": "#5f6368"}
STAGE_COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#aa3377")  # Paul Tol's "bright": apart for colour-blind eyes too
STYLE = """
body { background: #f4f5f7; }
.card { background: white; border-radius: 10px; padding: 14px 18px; box-shadow: 0 1px 3px #0002; }
.big { font-size: 20px; } .small { font-size: 15px; color: #5f6368; } .light { font-size: 18px; line-height: 1.7; }
.shown { width: 100%; aspect-ratio: 1; image-rendering: pixelated; background: #ddd; border-radius: 6px; }
.stop { font-size: 30px !important; font-weight: 800; padding: 14px 44px !important; letter-spacing: 1px; }
.shout { background: #b3261e; color: white; font-size: 26px; font-weight: 700; padding: 14px 22px; border-radius: 8px; }
.calm { background: #e6f4ea; color: #0d5c2f; font-size: 20px; padding: 10px 18px; border-radius: 8px; }
.note { background: #fff4e5; color: #663c00; font-size: 18px; padding: 10px 18px; border-radius: 8px; }
h2 { font-size: 15px; font-weight: 600; color: #5f6368; margin: 0 0 6px 0; line-height: 1.4; }
h2 { text-transform: uppercase; letter-spacing: .06em; }
"""

# Before any button, menu or box sees the key: those keep some keys for themselves, and Space would press what was clicked last.
STOP_KEYS = """<script>
document.addEventListener("keydown", (event) => {
  const at = document.activeElement;
  const space = event.code === "Space" && !["INPUT", "TEXTAREA"].includes(at?.tagName);
  if (event.repeat || !(space || event.key === "Escape")) return;
  if (space) { event.preventDefault(); event.stopPropagation(); at?.blur(); }
  emitEvent("operator_stop");
}, true);
</script>"""


def motion_chart() -> dict[str, Any]:
    """Options of the chart of one joint: measured, and commanded ahead."""
    line: dict[str, Any] = {"type": "line", "showSymbol": False, "data": []}
    now = {"silent": True, "symbol": "none", "data": [{"xAxis": 0}], "label": {"formatter": "now", "position": "insideEndTop"}}
    return {
        "animation": False,
        "grid": {"left": 64, "right": 24, "top": 40, "bottom": 36},
        "legend": {"data": ["measured", "commanded"], "top": 0, "textStyle": {"fontSize": 15}},
        "xAxis": {"type": "value", "name": "s", "min": -HISTORY_S, "max": 1.5, "axisLabel": {"fontSize": 14}},
        "yAxis": {"type": "value", "scale": True, "axisLabel": {"fontSize": 14}},
        "series": [
            line | {"name": "measured", "lineStyle": {"width": 3}, "color": "#4477aa"},
            line | {"name": "commanded", "lineStyle": {"width": 3, "type": "dashed"}, "color": "#aa3377", "markLine": now},
        ],
    }


def rows(lights: list[Light]) -> str:
    """One line a light."""
    row = '<div><span style="color:{c}">{s}</span> <b>{n}</b> <span style="color:{c}">{t}</span></div>'
    return "".join(row.format(c=COLOUR[x.level], s=SYMBOL[x.level], n=x.name, t=escape(x.text)) for x in lights)


def bars(stages: list[tuple[str, float]]) -> str:
    """Stages one after the other, each as wide as it lasts."""
    if not stages:
        return "none yet"
    total_s = sum(seconds for _, seconds in stages) or 1.0
    parts, labels = "", ""
    for (name, seconds), colour in zip(stages, STAGE_COLOURS, strict=True):
        parts += f'<div style="background:{colour};width:{100 * seconds / total_s:.1f}%;height:28px"></div>'
        label = f'<span style="color:{colour}">■</span> {name} {1000 * seconds:.0f} ms'
        labels += f'<span style="white-space:nowrap">{label}</span>'
    bar = '<div style="display:flex;border-radius:5px;overflow:hidden">'
    legend = '<div style="display:flex;flex-wrap:wrap;gap:2px 16px;font-size:16px;margin-top:6px">'
    return f"{bar}{parts}</div>{legend}{labels}</div>"
