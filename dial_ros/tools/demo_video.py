"""Images of recorded trials: demo.mp4 and demo.gif (camera, foresight, change map), foresight.png (expected beside true future)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageDraw

from dial_core.checkpoint.checkpoint import Checkpoint, load_checkpoint
from dial_core.viz import PcaColours, change_map, heat
from dial_core.viz.panels import Panel, compose, overlay, write
from dial_ros.tools.trials import Trial, TrialFrame

FPS = 20
GIF_STRIDE, GIF_SCALE, GIF_COLOURS = 3, 2 / 3, 96  # every third frame, smaller: an animation for a README, under 1 MB
HOLD_LAST_FRAMES = 25  # so that the eye catches the result
GOOD, BAD = (120, 220, 130), (240, 120, 110)
ENCODE_BATCH = 32


@dataclass(frozen=True)
class Vision:
    """The frozen vision tower, and one PCA basis of what the robot saw for all images: equal colours mean equal content.

    `full_scale` is the change map's value of the brightest colour; `horizon_s` [s] how far ahead a foresight predicts.
    """

    loaded: Checkpoint
    colours: PcaColours
    full_scale: float
    horizon_s: float

    @classmethod
    def of(cls, checkpoint: Path, trials: Sequence[Trial]) -> "Vision":
        """Loads the checkpoint's vision tower and fits the basis to what the robot saw in `trials`."""
        loaded = load_checkpoint(checkpoint)
        seen = [frame.pixels for trial in trials for frame in trial.ego[::10]]
        observed = _encode(loaded, seen)
        changes = [change_map(r.tokens, _encode(loaded, [_frame_at(t.ego, r.observed_s)])[0]) for t in trials for r in t.foresights[::5]]
        full_scale = float(np.quantile(np.stack(changes), 0.99)) if changes else 1.0
        contract = loaded.contract
        return cls(loaded, PcaColours.fit(observed), full_scale, contract.horizon / contract.rate_hz)

    def tokens(self, pixels: np.ndarray) -> np.ndarray:
        """Returns Enc_ViT of one image (H, W, 3) uint8: (N, d) float32."""
        return _encode(self.loaded, [pixels])[0]


def write_video(path: Path, trials: Sequence[Trial], vision: Vision) -> None:
    """Writes an mp4 of all trials at the speed of simulated time."""
    with av.open(str(path), "w") as container:
        stream = None
        for image in (image for trial in trials for image in _panels(trial, vision)):
            if stream is None:
                stream = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryfast"})
                stream.width, stream.height, stream.pix_fmt = image.width, image.height, "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        if stream is not None:
            container.mux(stream.encode())


def write_gif(path: Path, trial: Trial, vision: Vision) -> None:
    """Writes one trial as a small looping GIF at the speed of simulated time."""
    images = list(_panels(trial, vision))[::GIF_STRIDE]
    small = [image.resize((round(image.width * GIF_SCALE), round(image.height * GIF_SCALE))) for image in images]
    frames = [image.quantize(GIF_COLOURS, dither=Image.Dither.NONE) for image in small]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=1000 * GIF_STRIDE // FPS, loop=0, optimize=True)


def write_foresight_figure(path: Path, trial: Trial, vision: Vision, moments: int = 4) -> None:
    """Draws, for a few moments of a trial, the view, the view expected one horizon later, and the one that then came."""
    from matplotlib import pyplot as plt

    plt.switch_backend("agg")
    last_s = trial.ego[-1].stamp_s - vision.horizon_s
    records = [r for r in trial.foresights if r.observed_s <= last_s] or trial.foresights
    chosen = [records[i] for i in np.linspace(0, len(records) - 1, min(moments, len(records))).round().astype(int)]
    later_on = f"{vision.horizon_s:.1f} s later"
    rows = ["camera now", "foresight of System-2", f"vision tower {later_on}", "expected change", f"camera {later_on}"]
    size = (2.1 * len(chosen) + 1.2, 2.1 * len(rows))
    figure, axes = plt.subplots(len(rows), len(chosen), figsize=size, squeeze=False, layout="constrained")
    for column, record in enumerate(chosen):
        now = _frame_at(trial.ego, record.observed_s)
        later = _frame_at(trial.ego, record.observed_s + vision.horizon_s)
        change = heat(change_map(record.tokens, vision.tokens(now)), vision.full_scale)
        cells = [now, vision.colours.colours(record.tokens), vision.colours.colours(vision.tokens(later)), change, later]
        for row, image in enumerate(cells):
            axes[row, column].imshow(image, interpolation="nearest")
            axes[row, column].set(xticks=[], yticks=[])
        axes[0, column].set_title(f"t = {record.observed_s:.1f} s", fontsize=9)
    for row, name in enumerate(rows):
        axes[row, 0].set_ylabel(name, fontsize=9)
    figure.suptitle(f"“{trial.instruction}”", fontsize=10)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _panels(trial: Trial, vision: Vision) -> Iterator[Image.Image]:
    """Yields one composed image for every camera frame, with the newest foresight at that moment."""
    foresight = change = np.zeros((1, 1, 3), np.uint8)
    waiting = list(trial.foresights)
    image = None
    for frame in trial.ego:
        arrived = None
        while waiting and waiting[0].published_s <= frame.stamp_s:
            arrived = waiting.pop(0)
        if arrived is not None:
            foresight = vision.colours.colours(arrived.tokens)
            change = heat(change_map(arrived.tokens, vision.tokens(_frame_at(trial.ego, arrived.observed_s))), vision.full_scale)
        panels = [
            Panel("what the robot sees", frame.pixels),
            Panel(f"foresight, {vision.horizon_s:.1f} s ahead", foresight, smooth=False),
            Panel("where it expects change", overlay(change, frame.pixels)),
        ]
        if trial.scene:
            panels.insert(0, Panel("from the side", _square(_frame_at(trial.scene, frame.stamp_s))))
        image = compose(panels, trial.instruction, f"{max(frame.stamp_s - trial.started_s, 0):.1f} s")
        yield image
    if image is not None:
        result, colour = ("done", GOOD) if trial.success else ("not done in time", BAD)
        write(ImageDraw.Draw(image), (image.width - 12, image.height - 22), result, 20, colour, anchor="rm")
        yield from [image] * HOLD_LAST_FRAMES


def _frame_at(frames: Sequence[TrialFrame], stamp_s: float) -> np.ndarray:
    """Returns the pixels of the frame nearest in time."""
    return min(frames, key=lambda frame: abs(frame.stamp_s - stamp_s)).pixels


def _square(pixels: np.ndarray) -> np.ndarray:
    """Returns the square centre of a landscape image."""
    height, width = pixels.shape[:2]
    left = (width - height) // 2
    return pixels[:, left : left + height]


def _encode(loaded: Checkpoint, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns Enc_ViT of images (H, W, 3) uint8: (N, d) float32 each."""
    tokens: list[np.ndarray] = []
    for start in range(0, len(images), ENCODE_BATCH):
        batch = torch.from_numpy(np.stack(images[start : start + ENCODE_BATCH]))
        with torch.inference_mode():
            tokens += list(loaded.model.encode_image(batch).float().numpy())
    return tokens
