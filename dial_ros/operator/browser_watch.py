"""What a visitor's browser does by itself: keys that stop, an alarm where no acknowledgement comes, a page without updates greyed.

The server cannot report its own absence: with the network or its process gone, only the browser is left to say that a stop went nowhere.
"""

from __future__ import annotations

from nicegui import ui

from dial_ros.operator.actions import STOP_ACKNOWLEDGED_S

CONFIRMED_S = 0.7  # a stop that the page has not reported as acknowledged by then is shouted by the browser
STALE_S = 1.0  # without an update for so long the page is greyed
# An element has the keyboard's Space to itself only where text can be typed: a menu without input is a readonly INPUT in Quasar.
TYPING = '((at) => !!at && (at.matches("input:not([readonly]), textarea") || at.isContentEditable))'
# Keys and clicks are taken before any button, menu or box sees them: those keep some keys for themselves, and Space would press what was
# clicked last. Date.now, not a counter of intervals: a browser runs those of a hidden tab seldom.
SCRIPT = """<script>
(() => {
  const CONFIRMED_MS = _CONFIRMED_, STALE_MS = _STALE_, KEPT = "dialStopNotConfirmed", typing = _TYPING_;
  const server = () => document.querySelector("[data-beat]")?.dataset;
  let waiting = false, pressedAt = 0, settled = "0", beat = null, beatAt = 0;
  const keep = (value) => {  // over a reload, which follows when a lost server is back; a browser may refuse to
    try { value ? sessionStorage.setItem(KEPT, value) : sessionStorage.removeItem(KEPT); } catch {}
  };
  const box = (id, text) => {  // an element at the lower edge, where it covers neither STOP nor the answers
    let found = document.getElementById(id);
    if (!text) { found?.remove(); return null; }
    if (!found) {
      let edge = document.getElementById("browser-alarms");
      if (!edge) { edge = document.createElement("div"); edge.id = "browser-alarms"; document.body.append(edge); }
      found = document.createElement("div");
      found.id = id;
      found.append(document.createElement("span"));
      edge.append(found);
    }
    if (found.firstChild.textContent !== text) found.firstChild.textContent = text;
    return found;
  };
  const settle = () => { waiting = false; keep(""); box("stop-not-confirmed", ""); };
  const alarm = () => {
    const shown = box("stop-not-confirmed", "STOP NOT CONFIRMED: use the robot's own emergency stop");
    if (shown.childElementCount > 1) return;
    const dismiss = document.createElement("button");
    dismiss.textContent = "Dismiss";
    dismiss.addEventListener("click", settle);
    shown.append(dismiss);
  };
  const check = () => {
    const now = Date.now(), said = server();
    if (waiting && said && said.settled !== settled) settle();
    if (waiting && now - pressedAt >= CONFIRMED_MS) alarm();
    if (!said) return;
    if (said.beat !== beat) { beat = said.beat; beatAt = now; }
    const stale = now - beatAt > STALE_MS;
    document.body.classList.toggle("stale", stale);
    box("no-data", stale ? `no data for ${Math.floor((now - beatAt) / 1000)} s` : "");
  };
  const pressed = () => {
    waiting = true; pressedAt = Date.now(); settled = server()?.settled ?? "0";
    keep("pressed");
    setTimeout(check, CONFIRMED_MS);
  };
  try { waiting = !!sessionStorage.getItem(KEPT); } catch {}
  setInterval(check, 100);
  document.addEventListener("click", (event) => { if (event.target.closest?.(".stop")) pressed(); }, true);
  document.addEventListener("keydown", (event) => {
    const at = document.activeElement;
    const space = event.code === "Space" && !typing(at);
    if (event.repeat || !(space || event.key === "Escape")) return;
    if (space) { event.preventDefault(); event.stopPropagation(); at?.blur(); }
    window.dialStopKeyAt = Date.now();
    pressed();
    emitEvent("operator_stop");
  }, true);
})();
</script>"""


class BrowserWatch:
    """The server's side: an element whose attributes the browser reads: updates, and stops that need no alarm any more."""

    def __init__(self, period_s: float) -> None:
        """`period_s`: between two updates [s]; a slow page is given more time."""
        self._beats = self._settled = 0
        self.element = ui.element("div").props("data-beat=0 data-settled=0").style("display: none;")
        confirmed_s, stale_s = max(CONFIRMED_S, STOP_ACKNOWLEDGED_S + 2 * period_s), max(STALE_S, 2.5 * period_s)
        script = SCRIPT.replace("_CONFIRMED_", f"{1000 * confirmed_s:.0f}").replace("_STALE_", f"{1000 * stale_s:.0f}")
        ui.add_head_html(script.replace("_TYPING_", TYPING))

    def beat(self) -> None:
        """Reports that the page was updated."""
        self._beats += 1
        self.element.props(f"data-beat={self._beats}")

    def settle(self) -> None:
        """Reports that a stop was acknowledged, or that the operator has dismissed its alarm: the browser's own one goes."""
        self._settled += 1
        self.element.props(f"data-settled={self._settled}")
