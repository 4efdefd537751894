"""Draws a preset: the model's parts with their sizes, and what its bridge passes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dial_core.model.configuration import Architecture
from dial_core.model.dial import DialModel

INK, FAINT, FROZEN, LEARNS = "#1f2933", "#c3cbd3", "#dfe6ec", "#ffffff"
SYSTEM2, SYSTEM1, INTENT = "#e8f1fb", "#fdf1e3", "#b3261e"


@dataclass(frozen=True)
class Box:
    """A part of the model: centre and size on a 120 x 62 sheet, two lines of text."""

    x: float
    y: float
    width: float
    title: str
    detail: str
    fill: str = LEARNS
    height: float = 8.0

    def side(self, dx: float, dy: float) -> tuple[float, float]:
        """A point of the rim: (1, 0) is the middle of the right side."""
        return self.x + dx * self.width / 2, self.y + dy * self.height / 2


def draw_model(arch: Architecture, path: Path, title: str) -> None:
    """Writes an image (PNG, SVG, PDF by suffix) of an architecture; needs no weights."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import FancyBboxPatch

    figure, axes = pyplot.subplots(figsize=(12, 6.4))
    axes.set(xlim=(0, 120), ylim=(0, 62))
    axes.axis("off")
    for bottom, colour, name in ((33, SYSTEM2, "System-2"), (2, SYSTEM1, "System-1")):
        axes.add_patch(FancyBboxPatch((18, bottom), 100, 25, boxstyle="round,pad=0.4", facecolor=colour, edgecolor="none"))
        axes.text(117, bottom + 0.6, name, ha="right", va="bottom", fontsize=11, fontweight="bold", color=INK)
    boxes = _boxes(arch)
    for box in boxes.values():
        corner = (box.x - box.width / 2, box.y - box.height / 2)
        axes.add_patch(
            FancyBboxPatch(corner, box.width, box.height, boxstyle="round,pad=0.2", facecolor=box.fill, edgecolor=INK, linewidth=1)
        )
        axes.text(box.x, box.y + 1.4, box.title, ha="center", va="center", fontsize=9, fontweight="bold", color=INK)
        axes.text(box.x, box.y - 1.7, box.detail, ha="center", va="center", fontsize=7.5, color=INK)
    _arrows(axes, arch, boxes)
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.text(118, 61, "grey: frozen    red: what crosses from System-2    dashed: not in this bridge", ha="right", fontsize=8, color=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white")
    pyplot.close(figure)


def _boxes(arch: Architecture) -> dict[str, Box]:
    """All parts; counts are those of the real modules, built without memory."""
    model = DialModel.without_weights(arch)
    text, vision, rules = arch.text, arch.vision, arch.bridge_rules
    n, d = arch.foresight_tokens, arch.width
    fusion, decoder = arch.fusion, arch.decoder
    language = FROZEN if not rules.trains_language else LEARNS
    image = f"{arch.image.height}x{arch.image.width} px"
    boxes = {
        "image": Box(8, 43, 13, "image $o_t$", image, SYSTEM2),
        "text": Box(8, 53, 13, "instruction $l$", "chat template", SYSTEM2),
        "state": Box(8, 9, 13, "state $q_t$", f"{arch.state_dim}", SYSTEM1),
        "noise": Box(8, 19, 13, "noise, $\\tau$", f"{arch.horizon} x {arch.action_dim}", SYSTEM1),
        "vit": Box(29, 43, 17, "vision tower", f"{vision.layers} x {vision.width}, {_count(model.backbone.visual)}", FROZEN),
        "embedding": Box(29, 53, 17, "text embedding", f"{text.vocabulary} x {d}", FROZEN),
        "language": Box(
            62, 48, 20, "language model", f"{text.layers} x {d}, {_count(model.system2.backbone.language_model.layers)}", language, 12
        ),
        "fusion": Box(62, 19, 20, "fusion", f"{fusion.layers} x {fusion.width}, {_count(model.system1.fusion)}"),
        "decoder": Box(88, 14, 18, "action decoder", f"{decoder.layers} x {decoder.width}, {_count(model.system1.decoder)}", height=12),
        "chunk": Box(110, 14, 13, "chunk $A_t$", f"{arch.horizon} x {arch.action_dim}", SYSTEM1),
    }
    if rules.predicts:
        boxes["queries"] = Box(45, 39, 10, "queries", f"{n} x {d}")
        boxes["head"] = Box(88, 48, 18, "foresight head", _count(model.system2.foresight_head))
        boxes["foresight"] = Box(110, 48, 13, "foresight $x_t$", f"{n} x {arch.view_width}", SYSTEM2)
    if model.view_encoder is not None:
        boxes["dino"] = Box(29, 28.5, 17, "DINOv2", f"{_count(model.view_encoder)}, to {n} tokens", FROZEN, 6)
    return boxes


def _arrows(axes: Any, arch: Architecture, boxes: dict[str, Box]) -> None:
    rules = arch.bridge_rules

    def arrow(
        start: tuple[float, float], end: tuple[float, float], label: str = "", colour: str = INK, shown: bool = True, bend: float = 0
    ) -> None:
        style = {"arrowstyle": "-|>", "color": colour if shown else FAINT, "linestyle": "-" if shown else "--", "linewidth": 1.4}
        axes.annotate("", end, start, arrowprops={**style, "connectionstyle": f"arc3,rad={bend}", "shrinkA": 2, "shrinkB": 2})
        if label:
            place = ((start[0] + end[0]) / 2 + 0.8, (start[1] + end[1]) / 2)
            axes.text(*place, label, fontsize=8, color=colour if shown else FAINT, va="center")

    def between(first: str, second: str) -> None:
        arrow(boxes[first].side(1, 0), boxes[second].side(-1, 0))

    between("image", "vit")
    between("text", "embedding")
    arrow(boxes["embedding"].side(1, 0), boxes["language"].side(-1, 0.6))
    arrow(boxes["vit"].side(1, 0.3), boxes["language"].side(-1, 0.0))
    if rules.predicts:
        arrow(boxes["queries"].side(1, 0.2), boxes["language"].side(-1, -0.6))
        between("language", "head")
        between("head", "foresight")
    eye = "dino" if "dino" in boxes else "vit"
    if eye == "dino":
        arrow(boxes["image"].side(0.3, -1), boxes["dino"].side(-1, 0))
    arrow(boxes[eye].side(0.2, -1), boxes["fusion"].side(-1, 0.2), "current view", shown=rules.shows_view)
    arrow(boxes["language"].side(-0.2, -1), boxes["fusion"].side(-0.2, 1), "words", INTENT, rules.shows_words)
    if rules.predicts:
        arrow(boxes["foresight"].side(-0.3, -1), boxes["fusion"].side(0.6, 1), "foresight", INTENT, rules.shows_foresight)
        goal = "DINOv2" if eye == "dino" else "ViT"
        note = f"$L_{{world}}$: to Enc$_{{{goal}}}(o_{{t+H}})$"
        axes.text(boxes["foresight"].x, boxes["foresight"].y + 5.5, note, ha="center", fontsize=8, color=INK)
    arrow(boxes["fusion"].side(1, 0), boxes["decoder"].side(-1, 0.6))
    arrow(boxes["noise"].side(1, 0), boxes["decoder"].side(-1, -0.1), bend=0.12)
    arrow(boxes["state"].side(1, 0), boxes["decoder"].side(-1, -0.6))
    between("decoder", "chunk")
    axes.text(boxes["chunk"].x, boxes["chunk"].y - 5.6, "$L_{fm}$: velocity $A - \\epsilon$", ha="center", fontsize=8, color=INK)


def _count(module: Any) -> str:
    """Parameters, in millions."""
    millions = sum(parameter.numel() for parameter in module.parameters()) / 1e6
    return f"{millions:.0f} M" if millions >= 10 else f"{millions:.2g} M"
