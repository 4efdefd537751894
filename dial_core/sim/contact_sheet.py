"""Images of many tasks or things on one sheet, with captions."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw

from dial_core.sim.suite import Suite
from dial_core.sim.task import Task, load_task
from dial_core.sim.world import World

CAPTION_PX = 50
CHARACTER_PX = 6.2


def draw_suite(suite: Suite, seed: int, cell_px: int, columns: int, out: Path) -> None:
    """The first image of every task of `suite`, scenes `seed`, `seed` + 1, ..., `cell_px` square each, as a PNG at `out`."""
    _paste([_cell(task, seed + index, cell_px) for index, task in enumerate(suite.tasks)], columns, out)


def draw_objects(names: Iterable[str], cell_px: int, columns: int, out: Path) -> None:
    """Every object type `names` on a plate before the robot, close up, as a PNG at `out`."""
    cells = []
    for name in names:
        task = Task.model_validate(
            {**load_task("PlateToPlate").model_dump(), "objects": (name,), "distractor_count": (0, 0), "hand": "right"}
        )
        world = World(task, image_size=cell_px)
        thing = world.scene.objects[0]
        x, y = (int(value) for value in world.project(np.array([thing.x, thing.y, 0.1])))
        half = cell_px // 6
        close = Image.fromarray(world.render(height=3 * cell_px, width=3 * cell_px))
        left, top = (3 * max(0, min(cell_px - 2 * half, at - half)) for at in (x, y))
        cells.append((close.crop((left, top, left + 6 * half, top + 6 * half)).resize((cell_px, cell_px)), world.types[name].called))
        world.close()
    _paste(cells, columns, out)


def _cell(task: Task, seed: int, cell_px: int) -> tuple[Image.Image, str]:
    world = World(task, image_size=cell_px)
    world.reset(seed)
    cell = Image.fromarray(world.render()), f"{task.name}\n{world.instruction}"
    world.close()
    return cell


def _paste(cells: Sequence[tuple[Image.Image, str]], columns: int, out: Path) -> None:
    size = cells[0][0].width
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * size, rows * (size + CAPTION_PX)), (20, 20, 24))
    draw = ImageDraw.Draw(sheet)
    for index, (image, caption) in enumerate(cells):
        x, y = index % columns * size, index // columns * (size + CAPTION_PX)
        sheet.paste(image, (x, y + CAPTION_PX))
        lines = [part for line in caption.split("\n") for part in wrap(line, int(size / CHARACTER_PX))]
        draw.multiline_text((x + 4, y + 2), "\n".join(lines[:3]), fill=(235, 235, 235), spacing=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)
