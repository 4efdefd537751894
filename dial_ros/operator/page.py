"""The page itself, in NiceGUI: one document a visitor, refreshed from what `robot_view` holds, acting through `actions`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nicegui import Client, ui

from dial_ros.msg import System1Status
from dial_ros.node.states import STOPPED
from dial_ros.operator.act_panels import InstructionPanel, RecorderPanel, SimulationPanel
from dial_ros.operator.actions import Answer
from dial_ros.operator.answer_board import STOP, AnswerBoard
from dial_ros.operator.browser_watch import BrowserWatch
from dial_ros.operator.lights import SYMBOL, Light, system_lights
from dial_ros.operator.markup import STYLE
from dial_ros.operator.pause_buttons import PauseButtons
from dial_ros.operator.robot_panel import RobotPanel
from dial_ros.operator.teleoperation_panel import TeleoperationPanel
from dial_ros.operator.view_panels import CameraPanel, ErrorPanel, LimitPanel, MotionPanel, StatusPanel
from dial_ros.operator.visit import OperatorVisit, set_text

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
        answers: the answers to actions, and alarms.
        unlogged: why actions are not written down; hidden while they are.
    """

    def __init__(self, visit: OperatorVisit, period_s: float) -> None:
        visit.say, visit.answers = self._say, type(visit.answers)()
        self._visit, self._period_s = visit, period_s
        self._ticks = 0
        ui.add_css(STYLE)
        self._header()
        self._watch = BrowserWatch(period_s)
        with ui.element("div").classes("w-full").style("max-width: 1880px; margin: 0 auto; padding: 14px;"):
            self.answers = AnswerBoard(self._watch)
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
        ui.on("operator_stop", self.stop)
        ui.timer(period_s, self.refresh)
        ui.timer(1.0, self._find_nodes)

    def _header(self) -> None:
        with ui.header().classes("items-center justify-between no-wrap").style("background: #202124; padding: 8px 20px;"):
            with ui.column().classes("gap-0").style("min-width: 150px; flex: 1;"):
                ui.label(f"DIAL · {self._visit.embodiment.name}").style("font-size: 22px; font-weight: 700;")
                self._state = ui.label("").style("font-size: 18px; overflow-wrap: anywhere;").classes("state").mark("state")
            with ui.row().classes("items-center justify-end gap-4").style("flex: 0 1 auto;"):
                self.pausing = PauseButtons(self._visit, ("Pause", "Resume"), self._set_paused, "lg")
                self._reset = ui.button("Reset stop", on_click=self._reset_stop).props("color=orange-9 size=lg").mark("reset-stop")
                self._reset.set_visibility(False)
                ui.button("STOP", on_click=self.stop).props("color=red-9").classes("stop").mark("stop").tooltip("Space or Escape")

    # -- acting --------------------------------------------------------------------------------------------------

    @property
    def _mover(self) -> str:
        """Who moves the robot, and acknowledges a stop."""
        return "teleoperation" if self._visit.actions.teleoperated else "System-1"

    def _say(self, answer: Answer, what: str) -> None:
        self.answers.say(answer, what, self._mover)

    def stop(self) -> None:
        """Asks for the emergency stop, and says so until there is an answer."""
        try:
            self._visit.actions.stop(self._visit.who, self._visit.reporting(STOP))
        finally:
            self.answers.stop_sent()

    def _reset_stop(self) -> None:
        self._visit.actions.reset_stop(self._visit.who, self._visit.reporting("Reset of the stop"))

    def _set_paused(self, paused: bool) -> None:
        self._visit.actions.pause(self._visit.who, paused, self._visit.reporting("Pause" if paused else "Resume"))

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
        self.answers.refresh(self._latched(system_lights(visit.view.seen)[0]), self._mover)
        visit.view.poll(self._period_s)
        why = visit.actions.log_failure
        set_text(self.unlogged, f"Actions still work, but are not written down: {why}" if why else "")
        self.unlogged.set_visibility(bool(why))
        seen = visit.view.seen
        system1 = system_lights(seen)[0]
        set_text(self._state, f"{SYMBOL[system1.level]} {system1.text}")
        self.pausing.refresh(seen.system1 is not None and seen.system1.state == System1Status.STATE_PAUSED)
        self.pausing.set_visibility(seen.system1 is not None)
        self._reset.set_visibility(bool(self._latched(system1)))
        due = list(self._often)
        due += self._slowly if self._ticks % SLOW == 0 else []
        due += self._slowest if self._ticks % SLOWEST == 1 else []
        self._ticks += 1
        for refresh in due:
            refresh()
        self._watch.beat()  # last: a page of which a part fails is not up to date

    def _latched(self, system1: Light) -> bool | None:
        """Whether a stop is latched, of the light of what moves the robot; None if nothing is reported."""
        seen = self._visit.view.seen
        if system1.name == "Teleoperation":
            return system1.text == STOPPED
        if seen.system1 is None:
            return None
        latched = seen.system1.state == System1Status.STATE_STOPPED
        return latched if latched or not seen.silent("system1") else None
