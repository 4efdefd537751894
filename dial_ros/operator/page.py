"""The page itself, in NiceGUI: one document a visitor, refreshed from what `robot_view` holds, acting through `actions`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from nicegui import app, ui

from dial_core.sim.task import task_names
from dial_ros.msg import System1Status
from dial_ros.operator.actions import STOP_ACKNOWLEDGED_S, Actions, Answer
from dial_ros.operator.lights import SYMBOL, age_lights, system_lights, waterfall
from dial_ros.operator.markup import STOP_KEYS, STYLE, bars, motion_chart, rows
from dial_ros.operator.robot_view import HISTORY_S, RobotView
from dial_ros.operator.vocabulary import KnownWords

WELCOME = "Pick a scene, type what the robot is to do, watch it."


@dataclass
class Shown:
    """What the page shows to everybody: the newest answers, and what was asked before."""

    history: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    suggestion: str = ""


class OperatorPage:
    """Builds one document for every visitor."""

    def __init__(
        self, view: RobotView, actions: Actions, words: KnownWords, robot: str, rate_hz: float, limits_s: dict[str, float]
    ) -> None:
        """`limits_s`: ages [s] at which System-1 holds, by input; filled once it has reported them."""
        self._view, self._actions, self._words = view, actions, words
        self._robot, self._period_s, self._limits_s = robot, 1.0 / rate_hz, limits_s
        self._shared = Shown()
        self._viewers: set[str] = set()

    def register(self) -> None:
        """Serves the page at `/`."""
        ui.page("/", title=f"DIAL: {self._robot}")(self._build)
        app.on_disconnect(lambda client: self._leave(client.id))

    def _leave(self, client_id: str) -> None:
        self._viewers.discard(client_id)
        self._view.look(bool(self._viewers))

    def _build(self) -> None:
        client = ui.context.client
        self._viewers.add(client.id)
        self._view.look(True)
        Document(self._view, self._actions, self._words, self._shared, self._robot, self._period_s, self._limits_s, who=client.ip or "?")


class Document:
    """What one visitor sees."""

    def __init__(self, view, actions, words, shared: Shown, robot: str, period_s: float, limits_s: dict[str, float], who: str) -> None:
        self._view: RobotView = view
        self._actions: Actions = actions
        self._words: KnownWords = words
        self._shared, self._limits_s, self._who = shared, limits_s, who
        self._answers: deque[Callable[[], None]] = deque()  # from the ROS thread, carried out in the page's own
        self._stop_sent_s: float | None = None  # of a stop that nothing has answered yet
        ui.add_css(STYLE)
        self._header(robot)
        with ui.element("div").classes("w-full").style("max-width: 1880px; margin: 0 auto; padding: 16px;"):
            self._message = ui.label(WELCOME).classes("calm w-full").mark("message")
            with ui.element("div").style("display: grid; grid-template-columns: minmax(0,3fr) minmax(0,2fr); gap: 16px; margin-top: 16px;"):
                with ui.column().classes("w-full gap-4"):
                    self._pictures()
                    self._motion()
                with ui.column().classes("w-full gap-4"):
                    self._instruction()
                    self._lights()
                    self._way()
                    self._simulation()
        ui.add_head_html(STOP_KEYS)
        ui.on("operator_stop", self._stop)
        ui.timer(period_s, self._refresh)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _header(self, robot: str) -> None:
        with ui.header().classes("items-center justify-between").style("background: #202124; padding: 8px 20px;"):
            with ui.column().classes("gap-0"):
                ui.label(f"DIAL · {robot}").style("font-size: 22px; font-weight: 700;")
                self._state = ui.label("").style("font-size: 18px;").mark("state")
            with ui.row().classes("items-center gap-4"):
                self._pause = ui.button("Pause", on_click=self._toggle_pause).props("color=grey-8 size=lg").mark("pause")
                self._reset = ui.button("Reset stop", on_click=self._reset_stop).props("color=orange-9 size=lg").mark("reset-stop")
                ui.button("STOP", on_click=self._stop).props("color=red-9").classes("stop").mark("stop").tooltip("Space or Escape")

    def _pictures(self) -> None:
        with ui.element("div").classes("card w-full"), ui.element("div").style("display: grid; grid-template-columns: 1fr 1fr; gap: 16px;"):
            with ui.column().classes("gap-1"):
                ui.html("<h2>Camera, and where change is expected</h2>", sanitize=False)
                with ui.element("div").style("position: relative; width: 100%;"):
                    self._camera = ui.html("", sanitize=False).style("width: 100%;").mark("camera")
                    self._change = ui.html("", sanitize=False).style("position: absolute; inset: 0; mix-blend-mode: screen;")
                with ui.row().classes("w-full items-center no-wrap"):
                    ui.label("overlay").style("font-size: 16px;")
                    self._overlay = ui.slider(min=0, max=1, step=0.05, value=0.4).classes("grow")
            with ui.column().classes("gap-1"):
                ui.html("<h2>Foresight: what it expects to see in 0.8 s</h2>", sanitize=False)
                self._foresight = ui.html("", sanitize=False).style("width: 100%;").mark("foresight")
                ui.label("PCA colours of the image tokens that System-2 predicts: like colours, like things.").style(
                    "font-size: 15px; color: #5f6368;"
                )

    def _motion(self) -> None:
        with ui.element("div").classes("card w-full"):
            with ui.row().classes("w-full items-center justify-between"):
                ui.html("<h2>Measured, and commanded ahead [rad]</h2>", sanitize=False)
                names = list(self._view.seen.commanded) or list(self._view.joint_names)
                likely = next((name for name in names if name.startswith("r_elbow")), names[0])
                self._joint = ui.select(list(self._view.joint_names), value=likely).props("dense outlined").style("min-width: 220px;")
            self._plot = ui.echart(motion_chart()).style("height: 260px; width: 100%;")

    def _instruction(self) -> None:
        with ui.element("div").classes("card w-full"):
            ui.html("<h2>Instruction</h2>", sanitize=False)
            self._current = ui.label("none yet").classes("big").mark("current-instruction")
            with ui.row().classes("w-full items-center no-wrap"):
                self._text = ui.input(placeholder="what the robot is to do", autocomplete=list(self._shared.history)).props(
                    "outlined clearable"
                )
                self._text.classes("grow big").on("keydown.enter", self._instruct).mark("instruction")
                ui.button("Send", on_click=self._instruct).props("color=green-9 size=lg").mark("send")
            self._warning = ui.label("").style("font-size: 16px; color: #b35900; min-height: 24px;").mark("word-warning")
            self._suggestion = ui.button("", on_click=lambda: self._text.set_value(self._shared.suggestion)).props(
                "flat dense no-caps align=left"
            )

    def _lights(self) -> None:
        with ui.element("div").classes("card w-full"):
            ui.html("<h2>How it stands</h2>", sanitize=False)
            self._light_rows = ui.html("", sanitize=False).classes("light").mark("lights")

    def _way(self) -> None:
        with ui.element("div").classes("card w-full"):
            ui.html("<h2>The last chunk, from exposure to takeover</h2>", sanitize=False)
            self._bars = ui.html("none yet", sanitize=False).classes("w-full").mark("waterfall")

    def _simulation(self) -> None:
        with ui.element("div").classes("card w-full").mark("simulation") as self._world:
            ui.html("<h2>Simulation</h2>", sanitize=False)
            with ui.row().classes("w-full items-center no-wrap"):
                self._task = ui.select(task_names(), label="task", with_input=True).props("dense outlined").classes("grow")
                self._seed = ui.number("seed", value=100_000, min=0, format="%d").props("dense outlined").style("width: 120px;")
                ui.button("Reset", on_click=self._reset_world).props("color=blue-9").mark("reset-world")
            self._done = ui.label("").classes("big").mark("success")

    # -- acting --------------------------------------------------------------------------------------------------

    def _reporting(self, what: str) -> Callable[[Answer], None]:
        """A function for `actions`: shows the answer, from whatever thread it comes."""

        def on_answer(answer: Answer) -> None:
            self._answers.append(lambda: self._say(answer, what))

        return on_answer

    def _say(self, answer: Answer, what: str) -> None:
        if what == "Emergency stop":
            self._stop_sent_s = None
        shout = not answer.granted and answer.text.startswith("NOT ACKNOWLEDGED")
        calm = answer.granted and not answer.text.startswith("accepted, but")
        self._message.classes(replace=f"{'shout' if shout else 'calm' if calm else 'note'} w-full")
        if shout and what == "Emergency stop":
            self._message.set_text(f"{what}: {answer.text}. Use the robot's own emergency stop.")
        elif what == "Emergency stop" and answer.granted:
            self._message.set_text(f"Stopped: acknowledged by System-1 after {1000 * answer.seconds:.0f} ms. {answer.text}")
        else:
            self._message.set_text(f"{what}: {answer.text}")

    def _stop(self) -> None:
        self._stop_sent_s = time.monotonic()
        self._actions.stop(self._who, self._reporting("Emergency stop"))
        self._message.classes(replace="shout w-full")
        self._message.set_text("STOP sent ...")

    def _reset_stop(self) -> None:
        self._actions.reset_stop(self._who, self._reporting("Reset of the stop"))

    def _toggle_pause(self) -> None:
        status = self._view.seen.system1
        paused = status is not None and status.state == System1Status.STATE_PAUSED
        self._actions.pause(self._who, not paused, self._reporting("Resume" if paused else "Pause"))

    def _instruct(self) -> None:
        text = (self._text.value or "").strip()
        if text and text not in self._shared.history:
            self._shared.history.appendleft(text)
            self._text.set_autocomplete(list(self._shared.history))
        self._actions.instruct(self._who, text, self._reporting(f"“{text}”"))

    def _reset_world(self) -> None:
        def on_answer(answer: Answer, instruction: str) -> None:
            self._shared.suggestion = instruction or self._shared.suggestion
            self._reporting("Reset")(answer)

        self._actions.reset_world(self._who, self._task.value or "", int(self._seed.value or 0), on_answer)

    # -- showing -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        while self._answers:
            self._answers.popleft()()
        if self._stop_sent_s is not None and time.monotonic() - self._stop_sent_s > 2 * STOP_ACKNOWLEDGED_S:
            # Not even its absence was reported: the ROS side of this page is gone.
            self._say(Answer(False, "NOT ACKNOWLEDGED: the page has lost ROS", 2 * STOP_ACKNOWLEDGED_S), "Emergency stop")
        seen = self._view.seen
        self._set(self._camera, f'<img class="shown" alt="camera" src="{seen.camera}">' if seen.camera else '<div class="shown"></div>')
        overlay = f'<img class="shown" style="opacity:{self._overlay.value}" alt="change map" src="{seen.change}">' if seen.change else ""
        self._set(self._change, overlay)
        nothing = '<div class="shown" style="display:grid;place-items:center;font-size:18px;color:#5f6368">no foresight yet</div>'
        self._set(self._foresight, f'<img class="shown" alt="foresight" src="{seen.foresight}">' if seen.foresight else nothing)
        systems = system_lights(seen)
        alive = seen.system1 is not None and not seen.silent("system1")
        self._state.set_text(f"{SYMBOL[systems[0].level]} {systems[0].text}")
        self._set(self._light_rows, rows(systems + (age_lights(seen.system1, self._limits_s) if alive and seen.system1 else [])))
        self._set(self._bars, bars(waterfall(seen.system1)) if seen.system1 else "none yet")
        if seen.system1 is not None:
            self._current.set_text(f"“{seen.system1.instruction}”" if seen.system1.instruction else "none yet")
            self._pause.set_text("Resume" if seen.system1.state == System1Status.STATE_PAUSED else "Pause")
            self._reset.set_visibility(seen.system1.state == System1Status.STATE_STOPPED)
        unknown = self._words.unknown(self._text.value or "")
        self._warning.set_text(f"not in the model's vocabulary: {', '.join(unknown)}" if unknown else "")
        self._suggestion.set_text(f"suggested: {self._shared.suggestion}" if self._shared.suggestion else "")
        self._suggestion.set_visibility(bool(self._shared.suggestion))
        self._world.set_visibility(self._actions.available("mujoco_robot/reset"))
        self._done.set_text({True: "✔ done", False: "not done yet", None: ""}[seen.success])
        self._draw_motion()

    def _draw_motion(self) -> None:
        seen, name = self._view.seen, self._joint.value
        if not seen.joints:
            return
        now_s, _ = seen.joints[-1]
        column = self._view.joint_names.index(name)
        measured = [[round(at_s - now_s, 3), round(float(q[column]), 4)] for at_s, q in list(seen.joints) if 0 <= now_s - at_s <= HISTORY_S]
        commanded = []
        if name in seen.commanded:
            origin_s, times_s, positions = seen.commanded[name]
            commanded = [
                [round(origin_s + t - now_s, 3), round(float(p), 4)]
                for t, p in zip(times_s, positions, strict=True)
                if origin_s + t - now_s > -HISTORY_S
            ]
        self._plot.options["series"][0]["data"] = measured[:: max(1, len(measured) // 80)]
        self._plot.options["series"][1]["data"] = commanded
        self._plot.update()

    @staticmethod
    def _set(element: ui.html, content: str) -> None:
        if element.content != content:  # what has not changed is not sent
            element.set_content(content)
