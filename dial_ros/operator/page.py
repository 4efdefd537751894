"""The page itself, in NiceGUI: one document a visitor, refreshed from what `robot_view` holds, acting through `actions`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from nicegui import Client, ui

from dial_ros.msg import System1Status
from dial_ros.node.states import STOPPED, UNSTOPPED
from dial_ros.operator.act_panels import InstructionPanel, RecorderPanel, SimulationPanel
from dial_ros.operator.actions import STOP_ACKNOWLEDGED_S, Answer
from dial_ros.operator.lights import SYMBOL, system_lights
from dial_ros.operator.markup import STOP_KEYS, STYLE
from dial_ros.operator.robot_panel import RobotPanel
from dial_ros.operator.teleoperation_panel import TeleoperationPanel
from dial_ros.operator.view_panels import CameraPanel, ErrorPanel, LimitPanel, MotionPanel, StatusPanel
from dial_ros.operator.visit import OperatorVisit, set_text

WELCOME = (
    "In simulation, pick a task and press Reset. Type what the robot is to do, or take a suggestion, and press Send. "
    "Watch it move; Space or Escape stops it."
)
SLOW, SLOWEST = 2, 10  # refreshes to one of the charts, and to one of what hardly changes


class OperatorPage:
    """Builds one document for every visitor, and subscribes to the robot's topics only while one of them is connected."""

    def __init__(self, visit: OperatorVisit, rate_hz: float) -> None:
        """`visit`: what every visitor's is a copy of, without `who`."""
        self._visit, self._period_s = visit, 1.0 / rate_hz
        self._viewers: set[str] = set()

    def register(self) -> None:
        """Serves the page at `/`."""
        ui.page("/", title=f"DIAL: {self._visit.embodiment.name}")(self.build)

    def build(self) -> None:
        """Builds the document of the visitor who asks for the page."""
        client = ui.context.client
        # A browser whose websocket was lost for a moment connects again with the same document: nothing is built then.
        client.on_connect(self._count)
        client.on_disconnect(self._count)
        client.on_delete(self._forget)
        Document(replace(self._visit, who=client.ip or "?"), self._period_s)

    def _count(self, client: Client) -> None:
        # Asked, not counted: the new connection may be there before the end of the old one is noticed.
        if not client.has_socket_connection:
            self._forget(client)
            return
        self._viewers.add(client.id)
        self._visit.view.watch(True)

    def _forget(self, client: Client) -> None:
        self._viewers.discard(client.id)
        self._visit.view.watch(bool(self._viewers))


class Document:
    """What one visitor sees.

    Attributes:
        message: the answer to the last action.
        unlogged: why actions are not written down; hidden while they are.
    """

    def __init__(self, visit: OperatorVisit, period_s: float) -> None:
        visit.say, visit.answers = self._say, type(visit.answers)()
        self._visit, self._period_s = visit, period_s
        self._stop_sent_s: float | None = None  # of a stop that nothing has answered yet
        self._ticks = 0
        ui.add_css(STYLE)
        self._header()
        with ui.element("div").classes("w-full").style("max-width: 1880px; margin: 0 auto; padding: 14px;"):
            self.message = ui.label(WELCOME).classes("calm w-full").mark("message")
            self.unlogged = ui.label("").classes("note w-full").mark("unlogged")
            with ui.element("div").classes("columns"):
                with ui.element("div").classes("column").style("grid-area: view"):
                    camera, error, limits = CameraPanel(visit), ErrorPanel(visit), LimitPanel(visit)
                with ui.element("div").classes("column").style("grid-area: plan"):
                    motion, robot = MotionPanel(visit), RobotPanel(visit)
                with ui.element("div").classes("column").style("grid-area: act"):
                    self._instruction, self._teleoperation = InstructionPanel(visit), TeleoperationPanel(visit)
                    status, self._simulation, self._recorder = StatusPanel(visit), SimulationPanel(visit), RecorderPanel(visit)
        self._often: list[Callable[[], None]] = [camera.refresh, status.refresh, self._instruction.refresh]
        self._slowly: list[Callable[[], None]] = [error.refresh, motion.refresh, robot.refresh]
        self._slowest: list[Callable[[], None]] = [
            limits.refresh,
            self._simulation.refresh,
            self._recorder.refresh,
            self._teleoperation.refresh,
        ]
        ui.add_head_html(STOP_KEYS)
        ui.on("operator_stop", self.stop)
        ui.timer(period_s, self.refresh)
        ui.timer(1.0, self._find_nodes)

    def _header(self) -> None:
        with ui.header().classes("items-center justify-between").style("background: #202124; padding: 8px 20px;"):
            with ui.column().classes("gap-0").style("min-width: 0; flex: 1;"):
                ui.label(f"DIAL · {self._visit.embodiment.name}").style("font-size: 22px; font-weight: 700;")
                self._state = ui.label("").style("font-size: 18px; overflow-wrap: anywhere;").mark("state")
            with ui.row().classes("items-center gap-4 no-wrap"):
                self._pause = ui.button("Pause", on_click=self._toggle_pause).props("color=grey-8 size=lg").mark("pause")
                self._reset = ui.button("Reset stop", on_click=self._reset_stop).props("color=orange-9 size=lg").mark("reset-stop")
                self._reset.set_visibility(False)
                ui.button("STOP", on_click=self.stop).props("color=red-9").classes("stop").mark("stop").tooltip("Space or Escape")

    # -- acting --------------------------------------------------------------------------------------------------

    def _say(self, answer: Answer, what: str) -> None:
        stop = what == "Emergency stop"
        if stop:
            self._stop_sent_s = None
        unstopped = stop and not (answer.granted and answer.text.startswith(STOPPED))  # latched perhaps, but the robot may move on
        shout = unstopped or (not answer.granted and answer.text.startswith("NOT ACKNOWLEDGED"))
        calm = answer.granted and not any(doubt in answer.text for doubt in ("accepted, but", "Nothing will move"))
        self.message.classes(replace=f"{'shout' if shout else 'calm' if calm else 'note'} w-full")
        if unstopped:
            self.message.set_text(f"{what}: {answer.text}. {UNSTOPPED}")
        elif stop:
            by = "teleoperation" if self._visit.actions.teleoperated else "System-1"
            self.message.set_text(f"Stopped: acknowledged by {by} after {1000 * answer.seconds:.0f} ms. {answer.text}")
        else:
            self.message.set_text(f"{what}: {answer.text}")

    def stop(self) -> None:
        """Asks for the emergency stop, and says so until there is an answer."""
        self._stop_sent_s = time.monotonic()
        self._visit.actions.stop(self._visit.who, self._visit.reporting("Emergency stop"))
        self.message.classes(replace="shout w-full")
        self.message.set_text("STOP sent ...")

    def _reset_stop(self) -> None:
        self._visit.actions.reset_stop(self._visit.who, self._visit.reporting("Reset of the stop"))

    def _toggle_pause(self) -> None:
        status = self._visit.view.seen.system1
        paused = status is not None and status.state == System1Status.STATE_PAUSED
        self._visit.actions.pause(self._visit.who, not paused, self._visit.reporting("Resume" if paused else "Pause"))

    # -- showing -------------------------------------------------------------------------------------------------

    async def _find_nodes(self) -> None:
        for panel in (self._simulation, self._instruction, self._teleoperation):
            panel.find_nodes()
        await self._recorder.find_nodes()

    def refresh(self) -> None:
        """Shows what has come since the last time, and the answers to actions."""
        visit = self._visit
        while visit.answers:  # first of all: what the robot sends may be unreadable, an acknowledgement must be shown
            visit.answers.popleft()()
        if self._stop_sent_s is not None and time.monotonic() - self._stop_sent_s > 2 * STOP_ACKNOWLEDGED_S:
            # Not even its absence was reported: the ROS side of this page is gone.
            self._say(Answer(False, "NOT ACKNOWLEDGED: the page has lost ROS", 2 * STOP_ACKNOWLEDGED_S), "Emergency stop")
        visit.view.poll(self._period_s)
        why = visit.actions.log_failure
        set_text(self.unlogged, f"Actions still work, but are not written down: {why}" if why else "")
        self.unlogged.set_visibility(bool(why))
        seen = visit.view.seen
        system1 = system_lights(seen)[0]
        set_text(self._state, f"{SYMBOL[system1.level]} {system1.text}")
        if seen.system1 is not None:
            self._pause.set_text("Resume" if seen.system1.state == System1Status.STATE_PAUSED else "Pause")
        latched = seen.system1 is not None and seen.system1.state == System1Status.STATE_STOPPED
        self._reset.set_visibility(latched or (system1.name == "Teleoperation" and system1.text == STOPPED))
        self._pause.set_visibility(seen.system1 is not None)
        due = list(self._often)
        due += self._slowly if self._ticks % SLOW == 0 else []
        due += self._slowest if self._ticks % SLOWEST == 1 else []
        self._ticks += 1
        for refresh in due:
            refresh()
