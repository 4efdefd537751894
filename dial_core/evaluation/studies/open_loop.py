"""`dial replay chunks`: System-1 alone on a recording. Its chunks, from recorded frames, joints and foresights, against what was commanded.

The VLM does not run: its foresights lie in the bag. So a System-1 can be judged, and a change of it compared, on the very
inputs of an episode, without a robot. (Open loop: errors do not accumulate as they would on the robot, and success is not measured.)
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.checkpoint.contract import Contract
from dial_core.control.foresight_gate import Foresight
from dial_core.control.motion import NANOSECONDS
from dial_core.files.atomic import write_text
from dial_core.importers.bag.commanded import commanded
from dial_core.importers.bag.film import Film
from dial_core.importers.bag.timeline import Sighting, Timeline, read_timeline
from dial_core.importers.bag.topic_streams import find_streams
from dial_core.inference.policy_loop import PolicyLoop, gate_of
from dial_core.inference.system1_session import System1Session
from dial_core.observation.camera_view import fit_view
from dial_core.observation.readings import foresight_from_message
from dial_core.robot.embodiment import Embodiment, load_embodiment


@dataclass(frozen=True)
class OpenLoop:
    """Errors of `chunks` chunks of H steps.

    Attributes:
        rmse: (H, J) of predicted against commanded joints, by step ahead [rad].
        copying: (H, J) the same if every target were the measured joints: what a System-1 must beat [rad].
        refused: foresights that the contract refuses.
    """

    bag: str
    chunks: int
    rmse: np.ndarray
    copying: np.ndarray
    refused: int

    def by_joint(self) -> np.ndarray:
        """Error over all steps ahead (J,) [rad]."""
        return np.sqrt((self.rmse**2).mean(0))


def open_loop(checkpoint: Path, folder: Path, period_steps: int = 3, flow_steps: int = 4) -> OpenLoop:
    """Runs System-1 of a checkpoint through a bag.

    Args:
        period_steps: control steps between two chunks.

    Raises:
        DialError: the checkpoint does not fit the bag's robot, or the bag has no foresight that it may use.
    """
    session, bag = System1Session.from_checkpoint(checkpoint, flow_steps=flow_steps), Bag(folder)
    contract = session.contract
    embodiment = load_embodiment(bag.facts.get("embodiment", contract.embodiment))
    contract.require(embodiment, contract.camera)
    cameras = [next(camera for camera in embodiment.cameras if camera.name == view.name) for view in contract.views]
    streams = find_streams(bag, embodiment, cameras)
    timeline = read_timeline(bag, streams, embodiment)
    foresights, refused = usable_foresights(bag, contract)
    loop = PolicyLoop(session, embodiment, gate_of(contract, contract.horizon / contract.rate_hz))
    errors, copied = [], []
    next_ns = 0
    step_ns = round(NANOSECONDS / contract.rate_hz)
    wanted = _commanded_after(timeline, embodiment, contract)
    films = [Film(bag, topic, camera) for topic, camera in zip(streams.images, cameras, strict=True)]
    for sighting in timeline.sightings:
        if sighting.stamp_ns < next_ns:
            continue
        while foresights and foresights[0].stamp_ns <= sighting.stamp_ns:
            foresight = foresights.popleft()
            loop.gate.offer(foresight, foresight.instruction_id, foresight.stamp_ns)
        inputs, truth = loop.begin(sighting.stamp_ns), wanted(sighting)
        if inputs is None or truth is None:
            continue
        next_ns = sighting.stamp_ns + period_steps * step_ns - step_ns // 10
        images = tuple(fit_view(film.image(at), view) for film, at, view in zip(films, sighting.frames, contract.views, strict=True))
        chunk = loop.compute(inputs, images, sighting.joints, sighting.stamp_ns)[:, embodiment.joint_slice]
        errors.append((chunk - truth) ** 2)
        copied.append((sighting.joints - truth) ** 2)
    if not errors:
        raise BagError(f"{folder}: no frame with a usable foresight and {contract.horizon} commanded steps after it")
    return OpenLoop(folder.name, len(errors), np.sqrt(np.mean(errors, 0)), np.sqrt(np.mean(copied, 0)), refused)


def usable_foresights(bag: Bag, contract: Contract) -> tuple[deque[Foresight], int]:
    """The bag's foresights that the checkpoint may use, by the stamp of their observation, and how many it may not.

    Raises:
        BagError: none was recorded, or all are of another model.
    """
    topic = next((name for name in bag.topics if name.endswith("/foresight")), None)
    checked = gate_of(contract, np.inf).contract
    usable: list[Foresight] = []
    refused, why = 0, ""
    for _, _, data in bag.messages([topic]) if topic else ():
        foresight = foresight_from_message(bag.decode(str(topic), data))
        refusal = checked.refusal(foresight, foresight.instruction_id, foresight.stamp_ns)
        if refusal is None:
            usable.append(foresight)
        else:
            refused, why = refused + 1, refusal[1]
    if not usable:
        raise BagError(
            f"{bag.folder}: no foresight was recorded"
            if not refused
            else f"{bag.folder}: none of {refused} foresights can be used: {why}; replay with the checkpoint that drove the robot"
        )
    return deque(sorted(usable, key=lambda foresight: foresight.stamp_ns)), refused


def write_open_loop(out: Path, result: OpenLoop, embodiment: Embodiment) -> str:
    """Writes `open_loop.json` and `open_loop.png` to `out`; returns a Markdown table of the worst joints."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    out.mkdir(parents=True, exist_ok=True)
    values = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in asdict(result).items()}
    write_text(out / "open_loop.json", json.dumps(values | {"joints": embodiment.joint_names}) + "\n")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 6.5), layout="constrained")
    rows, copying = np.arange(len(embodiment.joints)), np.sqrt((result.copying**2).mean(0))
    left.barh(rows, result.by_joint(), height=0.6, color="#3182bd", label="System-1")
    left.plot(copying, rows, "|", color="#d62728", markersize=9, label="standing still")
    left.set_yticks(rows, embodiment.joint_names, fontsize=7)
    left.invert_yaxis()
    left.set_xlabel("root mean square error [rad]")
    left.legend(fontsize=8)
    ahead = np.arange(1, len(result.rmse) + 1)
    right.plot(ahead, np.sqrt((result.rmse**2).mean(1)), color="#3182bd", label="System-1")
    right.plot(ahead, np.sqrt((result.copying**2).mean(1)), color="#d62728", label="standing still")
    right.set_xlabel("control steps ahead")
    right.set_ylabel("root mean square error, all joints [rad]")
    right.legend(fontsize=8)
    figure.suptitle(f"{result.bag}: {result.chunks} chunks against what was commanded")
    figure.savefig(out / "open_loop.png", dpi=110)
    pyplot.close(figure)
    lines = ["| joint | System-1 [rad] | standing still [rad] |", "|---|---|---|"]
    for joint in np.argsort(-result.by_joint())[:8]:
        lines.append(f"| {embodiment.joint_names[joint]} | {result.by_joint()[joint]:.4f} | {copying[joint]:.4f} |")
    return "\n".join(lines)


def _commanded_after(timeline: Timeline, embodiment: Embodiment, contract: Contract) -> Callable[[Sighting], np.ndarray | None]:
    """A function: sighting -> commanded joints (H, J) [rad] 1 .. H control steps after it, or None near the end of the bag."""
    step_ns = round(NANOSECONDS / contract.rate_hz)
    first_ns = timeline.sightings[0].stamp_ns
    # A grid ten times as fine as the control steps: sightings may lie anywhere.
    fine_ns = step_ns // 10
    times = np.arange(first_ns, timeline.sightings[-1].stamp_ns + 1, fine_ns)
    stamps = np.array([sighting.stamp_ns for sighting in timeline.sightings])
    measured = np.stack([timeline.sightings[i].joints for i in np.searchsorted(stamps, times, side="right") - 1])
    offset_s = timeline.epochs[0].offset_s
    targets = commanded(timeline.commands, times[1:], measured, embodiment, offset_s=offset_s).targets

    def after(sighting: Sighting) -> np.ndarray | None:
        at = round((sighting.stamp_ns - first_ns) / fine_ns) + 10 * np.arange(1, contract.horizon + 1) - 1
        return targets[at] if at[-1] < len(targets) else None

    return after
