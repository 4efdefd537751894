"""Panels that show: camera and foresight, the foresight's error, commanded motion, shares of limits, states and latencies."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from dial_ros.operator.charts import error_options, error_series, motion_options, motion_series
from dial_ros.operator.lights import age_lights, foresight_light, system_lights, waterfall
from dial_ros.operator.markup import rows, share_bars, timeline
from dial_ros.operator.robot_view import Seen
from dial_ros.operator.visit import Visit, card, heading, show

MOST_JOINTS = 3  # charts below one another
EMPTY = '<div class="shown"></div>'
NO_FORESIGHT = '<div class="shown" style="display:grid;place-items:center;font-size:18px;color:#5f6368">no foresight yet</div>'


class CameraPanel:
    """The model's camera with the expected change over it, and the foresight beside it."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        with card(), ui.element("div").style("display: grid; grid-template-columns: 1fr 1fr; gap: 16px;"):
            with ui.column().classes("gap-1"):
                heading("Camera, with expected change")
                with ui.element("div").style("position: relative; width: 100%;") as self._camera_box:
                    self._camera = ui.html("", sanitize=False).style("width: 100%;").mark("camera")
                    self._change = ui.html("", sanitize=False).style("position: absolute; inset: 0; mix-blend-mode: screen;")
                    self._camera_age = ui.html("", sanitize=False).mark("camera-age")
                with ui.row().classes("w-full items-center no-wrap"):
                    ui.label("overlay").style("font-size: 16px;")
                    self._overlay = ui.slider(min=0, max=1, step=0.05, value=0.4).classes("grow")
            with ui.column().classes("gap-1"):
                heading("Foresight, 0.8 s ahead")
                with ui.element("div").style("position: relative; width: 100%;") as self._foresight_box:
                    self._foresight = ui.html("", sanitize=False).style("width: 100%;").mark("foresight")
                    self._foresight_age = ui.html("", sanitize=False).mark("foresight-age")
                ui.label("Image tokens that System-2 predicts, in PCA colours.").classes("small")

    def refresh(self) -> None:
        """Shows the newest images; one that is not renewed is grey, and its age stands over it."""
        seen = self._visit.view.seen
        show(self._camera, f'<img class="shown" alt="camera" src="{seen.camera}">' if seen.camera else EMPTY)
        show(self._foresight, f'<img class="shown" alt="foresight" src="{seen.foresight}">' if seen.foresight else NO_FORESIGHT)
        _show_age(self._camera_box, self._camera_age, _silence_s(seen, "camera") if seen.camera else None)
        silence_s = _silence_s(seen, "foresight") if seen.foresight else None
        _show_age(self._foresight_box, self._foresight_age, silence_s)
        changes = seen.change if silence_s is None else ""  # expected of the view then, and nothing about the one now
        show(self._change, f'<img class="shown" style="opacity:{self._overlay.value}" alt="change map" src="{changes}">' if changes else "")


def _silence_s(seen: Seen, image: str) -> float | None:
    """How long ago an image was received [s] if that is too long; None if it is not, or not noted: a bag is shown as of its moment."""
    return seen.report_age_s(image) if image in seen.received_s and seen.silent(image) else None


def _show_age(box: ui.element, label: ui.html, silence_s: float | None) -> None:
    box.classes(**({"remove": "old"} if silence_s is None else {"add": "old"}))
    show(label, "" if silence_s is None else f'<div class="age"><span>no image for {silence_s:.0f} s</span></div>')


class ErrorPanel:
    """What System-2 expected 0.8 s ago against what it sees now, over time."""

    def __init__(self, visit: Visit) -> None:
        self._visit, self._shown = visit, 0.0
        with card():
            heading("Foresight error: expected 0.8 s ago against seen now")
            self._light = ui.html("", sanitize=False).classes("light").mark("foresight-error")
            self._chart = ui.echart(error_options()).style("height: 150px; width: 100%;")

    def refresh(self) -> None:
        """Draws the curve again if there is a new error."""
        seen = self._visit.view.seen
        show(self._light, rows([foresight_light(seen)]))
        newest = seen.errors[-1][0] if seen.errors else 0.0
        if newest != self._shown:
            self._shown = newest
            self._chart.run_chart_method("setOption", error_series(seen))


class MotionPanel:
    """Chosen joints: measured, commanded in the past, committed, new, and what the chunk before had planned."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._charts: dict[str, ui.echart] = {}  # by joint
        self._drawn: tuple = ()
        self._joints = {joint.name: (column, joint) for column, joint in enumerate(visit.embodiment.joints)}
        names = list(self._joints)
        likely = [name for name in names if "elbow" in name and name.startswith("r")] or names[:1]
        with card():
            with ui.row().classes("w-full items-center justify-between no-wrap"):
                heading("Commanded chunk [rad]")
                self._choice = ui.select(names, value=likely, multiple=True, on_change=self._build).props(
                    f"dense outlined use-chips max-values={MOST_JOINTS}"
                )
                self._choice.style("min-width: 220px; max-width: 70%;").mark("joints")
            self._box = ui.column().classes("w-full gap-1")
        self._build()

    def _build(self) -> None:
        self._box.clear()
        with self._box:
            chosen = [name for name in self._choice.value if name in self._joints][:MOST_JOINTS]
            height = 230 if len(chosen) == 1 else 170
            self._charts = {name: ui.echart(motion_options(name)).style(f"height: {height}px; width: 100%;") for name in chosen}

    def refresh(self) -> None:
        """Draws the joints again if robot time has moved on."""
        view = self._visit.view
        state = (view.seen.robot_ns, tuple(self._charts), view.commanded.end_ns)
        if state == self._drawn:
            return
        self._drawn = state
        for name, chart in self._charts.items():
            column, joint = self._joints[name]
            options: dict[str, Any] = motion_series(view.seen, view.commanded, joint, column)
            chart.run_chart_method("setOption", options)


class LimitPanel:
    """How much of each limit the newest chunk uses, by joint."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        with card():
            heading("Share of limits used by the chunk, by joint")
            self._bars = ui.html("nothing commanded yet", sanitize=False).classes("w-full").mark("limit-shares")

    def refresh(self) -> None:
        """Shows what is still ahead of the newest trajectories."""
        view = self._visit.view
        shares = view.commanded.shares(self._visit.embodiment, view.seen.robot_ns) if view.seen.robot_ns is not None else {}
        show(self._bars, share_bars(shares, self._visit.embodiment.joint_names))


class StatusPanel:
    """States, ages against their limits, and the latency of the last chunk by stage."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        with card():
            heading("Status")
            self._lights = ui.html("", sanitize=False).classes("light").mark("lights")
        with card():
            heading("Latency of the last chunk")
            self._bars = ui.html("none yet", sanitize=False).classes("w-full").mark("waterfall")

    def refresh(self) -> None:
        """Shows the newest reports."""
        seen = self._visit.view.seen
        alive = seen.system1 is not None and not seen.silent("system1")
        ages = age_lights(seen.system1, self._visit.limits_s(), seen.report_age_s("system1")) if alive and seen.system1 else []
        show(self._lights, rows(system_lights(seen) + ages))
        show(self._bars, timeline(waterfall(seen)))
