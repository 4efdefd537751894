"""pytest test/unit/sim/test_contact_sheet.py"""

from PIL import Image
from typer.testing import CliRunner

from dial_core.cli import app
from dial_core.cli.options import results
from dial_core.sim.contact_sheet import CAPTION_PX, draw_objects, draw_suite
from dial_core.sim.suite import Suite, load_suite


def test_a_sheet_has_a_cell_with_an_image_for_every_task(tmp_path):
    whole = load_suite("in_distribution")
    few = Suite(whole.name, whole.description, whole.tasks[:3])
    draw_suite(few, 100_000, 96, 2, tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.size == (2 * 96, 2 * (96 + CAPTION_PX))
    for x, y in ((0, 0), (1, 0), (0, 1)):
        cell = sheet.crop((x * 96, y * (96 + CAPTION_PX) + CAPTION_PX, x * 96 + 96, (y + 1) * (96 + CAPTION_PX)))
        assert len(set(cell.getdata())) > 100


def test_objects_are_drawn_from_near(tmp_path):
    draw_objects(["can", "thermos"], 96, 2, tmp_path / "objects.png")
    assert Image.open(tmp_path / "objects.png").size == (192, 96 + CAPTION_PX)


def test_dial_tasks_lists_a_suite(monkeypatch):
    monkeypatch.setattr(results, "_width", 220)  # a console that was made where COLUMNS is set asks nobody again
    result = CliRunner().invoke(app, ["tasks", "--suite", "unseen_combination"])
    assert result.exit_code == 0, result.output
    assert "TrayToBasket" in result.output
