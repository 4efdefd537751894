"""Teleoperation of the simulated robot by keys: the browser reports ten times a second which are down."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from dial_ros.operator.browser_watch import TYPING
from dial_ros.operator.jog_keys import AXES, GRIPS, LEGEND, TURNS, JogKeys
from dial_ros.operator.visit import OperatorVisit, card, heading, set_text

# The browser reports while keys are down: one that is closed, loses its network or its focus moves nothing any more.
JOG_SCRIPT = """<script>
(() => {
  const known = new Set(KEYS), down = new Set();
  const typing = TYPING;
  const report = () => emitEvent("operator_jog", [...down]);
  const teleoperated = () => !!document.querySelector(".jogged:not(.hidden)");
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase(), at = document.activeElement;
    if (event.ctrlKey || event.metaKey || event.altKey || typing(at) || !known.has(key) || !teleoperated()) return;
    event.stopPropagation();  // before a menu that was used last takes it for the first letter of an option
    if (at?.tagName === "INPUT") at.blur();
    if (!down.has(key)) { down.add(key); report(); }
  }, true);
  const release = (key) => { if (down.delete(key)) report(); };
  document.addEventListener("keyup", (event) => release(event.key.toLowerCase()));
  window.addEventListener("blur", () => { if (down.size) { down.clear(); report(); } });
  setInterval(() => { if (down.size) report(); }, 100);
})();
</script>""".replace("KEYS", repr([*AXES, *TURNS, *GRIPS])).replace("TYPING", TYPING)


class TeleoperationPanel:
    """Which keys move the hand, and whether they do."""

    def __init__(self, visit: OperatorVisit) -> None:
        self._visit = visit
        with card().classes("jogged").mark("teleoperation") as self._card:
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
        seen = self._visit.view.seen
        status = None if seen.silent("diagnostics/teleoperation") else seen.diagnostics.get("teleoperation")
        hand, closure = (seen.diagnosed("teleoperation", key) for key in ("hand", "closure"))
        set_text(self._state, f"{hand} hand, {status.message}, closure {closure}" if status else "no report")
