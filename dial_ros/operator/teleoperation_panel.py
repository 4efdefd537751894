"""Teleoperation of the simulated robot by keys: the browser reports ten times a second which are down."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from dial_ros.operator.jog_keys import AXES, GRIPS, LEGEND, TURNS, JogKeys
from dial_ros.operator.visit import OperatorVisit, card, heading, set_text

# The browser reports while keys are down: one that is closed, loses its network or its focus moves nothing any more.
JOG_SCRIPT = """<script>
(() => {
  const known = new Set(KEYS), down = new Set();
  const typing = () => ["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement?.tagName);
  const report = () => emitEvent("operator_jog", [...down]);
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey || event.altKey || typing() || !known.has(key)) return;
    if (!down.has(key)) { down.add(key); report(); }
  });
  const release = (key) => { if (down.delete(key)) report(); };
  document.addEventListener("keyup", (event) => release(event.key.toLowerCase()));
  window.addEventListener("blur", () => { if (down.size) { down.clear(); report(); } });
  setInterval(() => { if (down.size) report(); }, 100);
})();
</script>""".replace("KEYS", repr([*AXES, *TURNS, *GRIPS]))


class TeleoperationPanel:
    """Which keys move the hand, and whether they do."""

    def __init__(self, visit: OperatorVisit) -> None:
        self._visit = visit
        with card().mark("teleoperation") as self._card:
            heading("Teleoperation, simulation only")
            keys = "".join(f"<div><b>{keys}</b></div><div>{words}</div>" for keys, words in LEGEND)
            grid = "display:grid;grid-template-columns:60px 1fr;gap:2px 10px;font-size:17px"
            ui.html(f'<div style="{grid}">{keys}</div>', sanitize=False)
            self._state = ui.label("").style("font-size: 17px;").mark("teleoperation-state")
        self._card.set_visibility(False)
        ui.add_head_html(JOG_SCRIPT)
        ui.on("operator_jog", self._jog)

    def _jog(self, event: Any) -> None:
        keys = event.args if isinstance(event.args, list) else [event.args]
        self._visit.actions.jog(self._visit.who, JogKeys.of(keys))

    def find_nodes(self) -> None:
        """Shows the panel only where keys move something."""
        self._card.set_visibility(self._visit.actions.teleoperated)

    def refresh(self) -> None:
        """Shows what the node reports."""
        status = self._visit.view.seen.diagnostics.get("teleoperation")
        hand, closure = (self._visit.view.seen.diagnosed("teleoperation", key) for key in ("hand", "closure"))
        set_text(self._state, f"{hand} hand, {status.message}, closure {closure}" if status else "no report yet")
