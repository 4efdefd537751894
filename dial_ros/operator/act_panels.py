"""Panels that act: the instruction, the simulated scene and the recorder."""

from __future__ import annotations

from html import escape
from pathlib import Path

from nicegui import run, ui

from dial_core.checkpoint.trained_on import means_stop, warning_of
from dial_core.sim.task import task_names
from dial_ros.operator.actions import Answer, Scene
from dial_ros.operator.episode_list import MOST_EPISODES, RecordedEpisode, recent_episodes
from dial_ros.operator.lights import nothing_moves_because, replaced_instruction, simulation_paused
from dial_ros.operator.pause_buttons import PauseButtons
from dial_ros.operator.scene_suggestions import suggestions_of
from dial_ros.operator.visit import OperatorVisit, card, heading, set_text, show
from dial_ros.srv import StopEpisode

STEPS = 20  # controller periods of 10 ms a click
OUTCOMES = {"success": ("✔", "#1a7f4b"), "failure": ("✖", "#b3261e")}


class InstructionPanel:
    """The current instruction, a box for the next one, and what to know before it is sent."""

    def __init__(self, visit: OperatorVisit) -> None:
        self._visit = visit
        self._offered: list[str] = []
        with card() as self._card:
            heading("Instruction")
            self._current = ui.label("none yet").classes("big").mark("current-instruction")
            with ui.row().classes("w-full items-center no-wrap"):
                self._text = ui.input(placeholder="what the robot is to do", autocomplete=list(visit.shared.history))
                self._text.props("outlined clearable").classes("grow big").on("keydown.enter", self._send).mark("instruction")
                ui.button("Send", on_click=self._send).props("color=green-9 size=lg").mark("send")
            self._warning = ui.label("").classes("hint").mark("word-warning")
            self._still = ui.label("").classes("note w-full").mark("nothing-moves")
            self._still.set_visibility(False)
            self._suggestions = ui.row().classes("gap-1")

    def _send(self) -> None:
        visit, text = self._visit, (self._text.value or "").strip()
        if text and text not in visit.shared.history:
            visit.shared.history.appendleft(text)
            self._text.set_autocomplete(list(visit.shared.history))
        before, replaced = nothing_moves_because(visit.view.seen), replaced_instruction(visit.view.seen, text)
        after = before or (f"It replaces “{replaced}” in mid-motion" if replaced else "")

        def on_answer(answer: Answer) -> None:
            if answer.granted and after and not means_stop(text):
                answer = Answer(True, f"{answer.text}. {after}", answer.seconds)
            visit.reporting(f"“{text}”")(answer)

        visit.actions.instruct(visit.who, text, on_answer)

    def find_nodes(self) -> None:
        """Hides the panel where keys move the robot, not instructions."""
        self._card.set_visibility(not self._visit.actions.teleoperated)

    def refresh(self) -> None:
        """Shows the instruction that System-1 follows, and what would come of sending the text in the box."""
        visit, text = self._visit, self._text.value or ""
        status = visit.view.seen.system1
        if status is not None:
            set_text(self._current, f"“{status.instruction}”" if status.instruction else "none yet")
        set_text(self._warning, warning_of(visit.trained_on, visit.words.unknown(text), text) if text else "")
        why = nothing_moves_because(visit.view.seen)
        set_text(self._still, why)
        self._still.set_visibility(bool(why))
        if self._offered != visit.shared.suggestions:
            self._offered = list(visit.shared.suggestions)
            self._suggestions.clear()
            with self._suggestions:
                for each in self._offered:
                    ui.button(each, on_click=lambda each=each: self._text.set_value(each)).props("outline dense no-caps color=grey-8")


class SimulationPanel:
    """Task, seed and object of the simulated scene; pause and step of its time."""

    def __init__(self, visit: OperatorVisit) -> None:
        self._visit = visit
        with card().mark("simulation") as self._card:
            heading("Simulation")
            with ui.row().classes("w-full items-center no-wrap gap-2"):
                self._task = ui.select(task_names(), label="task", with_input=True).props("dense outlined").classes("grow")
                self._seed = ui.number("seed", value=100_000, min=0, format="%d").props("dense outlined").style("width: 105px;")
                self._target = ui.select({-1: "drawn", 0: "first", 1: "second"}, value=-1, label="object").props("dense outlined")
                self._target.style("width: 105px;").tooltip("which object of the scene the task asks for")
            with ui.row().classes("w-full items-center gap-2 mt-2"):
                ui.button("Reset", on_click=self._reset).props("color=blue-9").mark("reset-world")
                self.time = PauseButtons(visit, ("Halt time", "Run"), self._set_paused)
                self._step = ui.button(f"Step {10 * STEPS} ms", on_click=self._advance).props("color=grey-8").mark("step-world")
                self._done = ui.label("").classes("big grow").style("text-align: right;").mark("success")
            self._warning = ui.label("").classes("hint").mark("task-warning")

    def _reset(self) -> None:
        visit = self._visit
        scene = Scene(
            self._task.value or str(visit.reported.get("mujoco_robot/task", "")), int(self._seed.value or 0), int(self._target.value)
        )

        def on_answer(answer: Answer, instruction: str) -> None:
            if answer.granted:
                visit.shared.suggestions = suggestions_of(scene, instruction)
                if warning := visit.trained_on.task_warning(scene.task, instruction):
                    answer = Answer(True, f"accepted, but {warning}", answer.seconds)
            visit.reporting("Reset")(answer)

        visit.actions.reset_world(visit.who, scene, on_answer)

    def _set_paused(self, paused: bool) -> None:
        self._visit.actions.pause_world(self._visit.who, paused, self._visit.reporting("Simulation"))

    def _advance(self) -> None:
        self._visit.actions.step_world(self._visit.who, STEPS, self._visit.reporting("Step"))

    def find_nodes(self) -> None:
        """Shows the panel only where there is a simulation."""
        self._card.set_visibility(self._visit.actions.available("mujoco_robot/reset"))
        reported, shared = self._visit.reported, self._visit.shared
        if "mujoco_robot/task" in reported and not self._task.value:
            self._task.set_value(reported["mujoco_robot/task"])
            self._seed.set_value(reported["mujoco_robot/seed"])
            if not shared.suggestions:
                shared.suggestions = suggestions_of(Scene(reported["mujoco_robot/task"], reported["mujoco_robot/seed"]), "")

    def refresh(self) -> None:
        """Shows whether the task is done, and what the chosen one means for this checkpoint."""
        seen = self._visit.view.seen
        set_text(self._done, {True: "✔ task done", False: "not done yet", None: ""}[seen.success])
        paused = simulation_paused(seen)
        self.time.refresh(paused)
        self._step.set_enabled(paused)
        set_text(self._warning, self._visit.trained_on.task_warning(self._task.value or "", ""))


class RecorderPanel:
    """Start and end of an episode, and the last ones with their outcome."""

    def __init__(self, visit: OperatorVisit) -> None:
        self._visit, self._folder = visit, ""
        with card().mark("recorder") as self._card:
            heading("Recorder")
            self._state = ui.label("").style("font-size: 17px;").mark("recorder-state")
            with ui.row().classes("w-full items-center no-wrap gap-2 mt-1"):
                ui.button("Record", on_click=self._start).props("color=red-9 icon=fiber_manual_record").mark("record")
                ui.button("Success", on_click=lambda: self._stop(StopEpisode.Request.OUTCOME_SUCCESS)).props("color=green-9").mark(
                    "success"
                )
                ui.button("Failure", on_click=lambda: self._stop(StopEpisode.Request.OUTCOME_FAILURE)).props("color=orange-9").mark(
                    "failure"
                )
                ui.button("Discard", on_click=self._discard).props("color=grey-8").mark("discard")
            with ui.expansion(f"Last {MOST_EPISODES} episodes", value=True).classes("w-full").props("dense"):
                self._list = ui.html("none yet", sanitize=False).style("max-height: 220px; overflow-y: auto;").mark("episodes")

    def _start(self) -> None:
        teleoperated, suggestions = self._visit.actions.teleoperated, self._visit.shared.suggestions
        instruction = suggestions[0] if teleoperated and suggestions else ""  # else the recorder takes the one of System-2
        self._visit.actions.start_episode(self._visit.who, instruction, self._visit.reporting("Record"))

    def _stop(self, outcome: int) -> None:
        self._visit.actions.stop_episode(self._visit.who, outcome, "", self._visit.reporting("Episode", self._ended))

    def _discard(self) -> None:
        self._visit.actions.discard_episode(self._visit.who, self._visit.reporting("Discard", self._ended))

    def _ended(self, _: Answer) -> None:
        self._folder = ""  # read again

    async def find_nodes(self) -> None:
        """Shows the panel only where there is a recorder, and reads its folder if that is on this machine."""
        self._card.set_visibility(self._visit.actions.available("recorder/start_episode"))
        folder = str(self._visit.reported.get("recorder/directory", ""))
        if folder and folder != self._folder:
            self._folder = folder
            found = await run.io_bound(recent_episodes, Path(folder))
            show(self._list, episode_rows(found or []))

    def refresh(self) -> None:
        """Shows what the recorder is doing."""
        seen = self._visit.view.seen
        status = seen.diagnostics.get("recorder")
        if status is None or seen.silent("diagnostics/recorder"):
            set_text(self._state, "no report yet")
        elif status.message.startswith("recording"):
            episode, messages, size = (seen.diagnosed("recorder", key) for key in ("episode", "messages", "mb"))
            set_text(self._state, f"● recording {episode}: {messages} messages, {size} MB")
        else:
            set_text(self._state, "ready" if status.message == "idle" else status.message)


def episode_rows(episodes: list[RecordedEpisode]) -> str:
    """Recorded episodes, one a line: thumbnail, outcome, name and instruction."""
    lines = ""
    for each in episodes:
        symbol, colour = OUTCOMES.get(each.outcome, ("?", "#5f6368"))
        image = f'<img alt="" src="{each.thumbnail}">' if each.thumbnail else '<span class="none"></span>'
        outcome = f'<span style="color:{colour};font-weight:700" title="{escape(each.outcome)}">{symbol} {escape(each.outcome)}</span>'
        words = f"<b>{escape(each.name)}</b> {outcome}<br>{escape(each.instruction) or 'no instruction'}"
        lines += f'<div class="episode">{image}<div>{words}</div></div>'
    return lines or "none yet"
