"""Names of files may be any bytes: of another encoding, from an old disk or an archive.

pytest test/unit/importers/test_foreign_file_names.py
"""

import hashlib
import json
import os
from pathlib import Path

import pytest

from dial_core.bags.synthetic import record
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.importers.bag.conversion import BagConversion, convert_bags
from dial_core.importers.engine import distinct_names
from dial_core.importers.work_files import state_of, work_stem


@pytest.fixture
def kitchen(tmp_path) -> Path:
    """A folder that somebody called Küche in Latin-1."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/K\xfcche"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    return folder


def test_a_bag_is_converted_and_reported_with_its_name_in_escapes(kitchen, tmp_path):
    record(kitchen / "ep", seconds=3)
    (kitchen / "broken").mkdir()
    (kitchen / "broken" / os.fsdecode(b"\xe9.mcap")).write_bytes(b"no bag")
    report = convert_bags([kitchen], tmp_path / "out", BagConversion(), workers=0)
    assert (report.converted, report.failed) == (1, 1)
    assert LeRobotDataset(tmp_path / "out").episodes[0].facts["bag"] == "ep"
    assert r"K\udcfcche" in (tmp_path / "out/report/report.md").read_text(encoding="utf-8")
    assert "is no MCAP file" in json.loads((tmp_path / "out/meta/conversion.json").read_text())["left_out"]["broken"]


def test_names_in_reports_can_be_written(kitchen):
    assert distinct_names([kitchen]) == [r"K\udcfcche"]
    assert distinct_names([Path("/data/Küche")]) == ["Küche"]


def test_digests_of_ordinary_names_are_those_of_earlier_versions(kitchen, tmp_path):
    assert work_stem(Path("/data/Küche/ep"), 3) == "ep-" + hashlib.sha256("/data/Küche/ep 3".encode()).hexdigest()[:16]
    assert work_stem(kitchen) != work_stem(tmp_path)
    assert state_of([kitchen / os.fsdecode(b"\xe9")]) != state_of([kitchen / "e"])
