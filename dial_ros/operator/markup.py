"""The page's style and its small pieces of HTML: colours that stay apart for colour-blind eyes, and shapes beside them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from dial_ros.operator.lights import SYMBOL, Light

COLOUR = {"ok": "#1a7f4b", "warn": "#b35900", "bad": "#b3261e", "off": "#5f6368"}
# Paul Tol's "bright": apart for colour-blind eyes too.
BLUE, CYAN, GREEN, YELLOW, PURPLE, RED, GREY = "#4477aa", "#66ccee", "#228833", "#ccbb44", "#aa3377", "#ee6677", "#bbbbbb"
STAGE_COLOURS = {
    "System-2": CYAN,
    "exposure to node": GREY,
    "waiting": YELLOW,
    "System-1": GREEN,
    "splice": BLUE,
    "controller": PURPLE,
    "lead": RED,
}
NEAR_SHARE = 0.9  # of a limit: a joint above it is worth a look
STYLE = """
body { background: #f4f5f7; }
.card { background: white; border-radius: 10px; padding: 12px 16px; box-shadow: 0 1px 3px #0002; width: 100%; min-width: 0; }
.big { font-size: 20px; } .small { font-size: 15px; color: #5f6368; } .light { font-size: 18px; line-height: 1.6; }
.shown { width: 100%; aspect-ratio: 1; image-rendering: pixelated; background: #ddd; border-radius: 6px; display: block; }
.stop { font-size: 30px !important; font-weight: 800; padding: 14px 44px !important; letter-spacing: 1px; }
.shout { background: #b3261e; color: white; font-size: 26px; font-weight: 700; padding: 12px 22px; border-radius: 8px; }
.calm { background: #e6f4ea; color: #0d5c2f; font-size: 20px; padding: 8px 18px; border-radius: 8px; }
.note { background: #fff4e5; color: #663c00; font-size: 18px; padding: 8px 18px; border-radius: 8px; }
.alarm { display: flex; gap: 16px; align-items: center; justify-content: space-between; margin-bottom: 10px; }
#browser-alarms button { background: white; color: #b3261e; font-size: 16px; padding: 4px 14px; border-radius: 6px; }
#browser-alarms { position: fixed; left: 0; right: 0; bottom: 0; z-index: 10000; text-align: center; font-weight: 700; color: white; }
#no-data { background: #5f6368; font-size: 20px; padding: 6px; }
#stop-not-confirmed { background: #b3261e; font-size: 30px; padding: 16px; }
#stop-not-confirmed button { margin-left: 24px; }
.stale .columns, .stale .calm, .stale .state, .old img { filter: grayscale(1); opacity: .4; }
.age { position: absolute; inset: 0; display: grid; place-items: center; pointer-events: none; }
.age span { background: #202124cc; color: white; font-size: 20px; padding: 6px 14px; border-radius: 6px; }
.hint { font-size: 16px; color: #b35900; min-height: 24px; overflow-wrap: anywhere; }
h2 { font-size: 15px; font-weight: 600; color: #5f6368; margin: 0 0 6px 0; line-height: 1.4; }
h2 { text-transform: uppercase; letter-spacing: .06em; }
.columns { display: grid; gap: 14px; margin-top: 14px; align-items: start;
  grid-template-columns: minmax(0,3fr) minmax(0,2fr); grid-template-areas: "view act" "plan act"; grid-template-rows: auto 1fr; }
.column { display: flex; flex-direction: column; gap: 14px; min-width: 0; }
@media (min-width: 1600px) { .columns { grid-template-columns: minmax(0,5fr) minmax(0,5fr) minmax(0,4fr);
  grid-template-areas: "view plan act"; grid-template-rows: auto; } }
@media (max-width: 900px) { .columns { grid-template-columns: minmax(0,1fr); grid-template-areas: "view" "act" "plan"; } }
.shares { display: grid; grid-template-columns: 110px 1fr; gap: 2px 8px; align-items: end; font-size: 15px; }
.shares > div:nth-child(even) { display: flex; align-items: end; height: 34px; border-bottom: 1px solid #999; gap: 1px; }
.episode { display: flex; gap: 10px; align-items: center; font-size: 16px; padding: 3px 0; }
.episode img, .episode .none { width: 48px; height: 48px; border-radius: 4px; background: #ddd; flex: none; object-fit: cover; }
.episode div { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
"""


def rows(lights: Sequence[Light]) -> str:
    """One line a light."""
    row = '<div><span style="color:{c}">{s}</span> <b>{n}</b> <span style="color:{c}">{t}</span></div>'
    return "".join(row.format(c=COLOUR[x.level], s=SYMBOL[x.level], n=x.name, t=escape(x.text)) for x in lights)


def timeline(stages: Sequence[tuple[str, float, float]]) -> str:
    """Stages (name, begin [s], duration [s]), one a row, each bar where it lies in time."""
    if not stages:
        return "none yet"
    begin_s = min(at_s for _, at_s, _ in stages)
    length_s = max(max(at_s + duration_s for _, at_s, duration_s in stages) - begin_s, 1e-3)
    lines = ""
    for name, at_s, duration_s in stages:
        left, width = 100 * (at_s - begin_s) / length_s, max(100 * duration_s / length_s, 0.6)
        bar = f"margin-left:{min(left, 99.4):.1f}%;width:{min(width, 100 - min(left, 99.4)):.1f}%;background:{STAGE_COLOURS[name]}"
        lines += f"<div>{name}</div>"
        lines += f'<div style="background:#f4f5f7;border-radius:3px"><div style="{bar};height:16px;border-radius:3px"></div></div>'
        lines += f'<div style="text-align:right">{1000 * duration_s:.0f} ms</div>'
    return f'<div style="display:grid;grid-template-columns:130px 1fr 64px;gap:3px 8px;font-size:16px;align-items:center">{lines}</div>'


def share_bars(shares: dict[str, np.ndarray], names: Sequence[str]) -> str:
    """Share of each limit by joint as columns, with the highest one in words; limit -> (J,) [1]."""
    if not shares:
        return "nothing commanded yet"
    rows_of_bars = ""
    for limit, values in shares.items():
        bars = ""
        for name, value in zip(names, values, strict=True):
            colour = COLOUR["bad"] if value > 1.001 else YELLOW if value > NEAR_SHARE else BLUE
            style = f"flex:1;height:{min(100.0, max(2.0, 100 * value)):.0f}%;background:{colour}"
            bars += f'<div style="{style}" title="{escape(name)}: {100 * value:.0f} % of its {limit} limit"></div>'
        highest = int(np.argmax(values))
        rows_of_bars += f"<div>{limit}</div><div>{bars}</div>"
        rows_of_bars += (
            f'<div></div><div style="border:0;height:auto" class="small">{escape(names[highest])} {100 * values[highest]:.0f} %</div>'
        )
    return f'<div class="shares">{rows_of_bars}</div>'
