"""The trace: written from any thread, read back as it was, summed up by stage, and drawn."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from dial_core.control.trace_plot import draw_timeline
from dial_core.control.tracing import TraceRow, TraceWriter, read_trace, stage_table
from dial_core.errors import DialError

MS = 1_000_000


def chunk(stamp_ms, **changes):
    times = {"exposed_ns": 0, "received_ns": 4, "started_ns": 10, "inferred_ns": 40, "sent_ns": 45, "takes_over_ns": 65}
    row = TraceRow("chunk", (stamp_ms + 45) * MS, **{name: (stamp_ms + ms) * MS for name, ms in times.items()})
    return replace(row, inference_s=0.03, stitching_s=0.005, estimated_delay_s=0.065, clamped=2, foresight_seq=7, **changes)


ROWS = [
    TraceRow("state", 0, "waiting: waiting for foresight"),
    TraceRow("foresight", 90 * MS, exposed_ns=10 * MS, sent_ns=80 * MS, received_ns=90 * MS, foresight_seq=7),
    TraceRow("foresight", 95 * MS, "stale: 2.000 s old, limit 0.800 s", exposed_ns=1 * MS),
    TraceRow("state", 100 * MS, "running"),
    chunk(100),
    chunk(250),
    replace(chunk(400), sent_ns=0, takes_over_ns=0, text='chunk: 3 of 752 values are "not finite", dropped whole'),
    TraceRow("state", 900 * MS, "holding: camera 0.51 s old (limit 0.50 s)"),
]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_rows_come_back_as_they_were_written(tmp_path, ending):
    path = tmp_path / "deep" / f"run{ending}"
    writer = TraceWriter(path)
    for row in ROWS:
        writer.write(row)
    assert read_trace(path) == ROWS, "each row is in the file at once"
    writer.close()
    writer.write(ROWS[0])
    assert len(read_trace(path)) == len(ROWS), "after its end nothing is added"


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_full_trace_ends_with_a_whole_row_and_says_so(tmp_path, ending):
    path, limit_mb = tmp_path / f"run{ending}", 0.01
    writer = TraceWriter(path, limit_mb)
    for _ in range(200):
        writer.write(ROWS[4])
    assert writer.ended == "full: 0.01 MiB"
    rows = read_trace(path)
    assert rows == [ROWS[4]] * len(rows)
    longest = path.stat().st_size / len(rows) + 400
    assert limit_mb * 2**20 <= path.stat().st_size < limit_mb * 2**20 + longest


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_ends_the_trace_and_nothing_else(tmp_path):
    (tmp_path / "run.jsonl").symlink_to("/dev/full")
    writer = TraceWriter(tmp_path / "run.jsonl")
    writer.write(ROWS[0])
    assert writer.ended == "cannot be written: No space left on device"
    writer.write(ROWS[0])
    writer.close()
    assert writer.ended.startswith("cannot be written"), "the reason stays"


def test_another_ending_and_a_folder_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(DialError, match=r"choose \.csv or \.jsonl"):
        TraceWriter(tmp_path / "run.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(DialError, match="cannot be written"):
        TraceWriter(tmp_path / "file" / "run.csv")


def test_what_is_no_trace_is_refused_with_the_reason(tmp_path):
    with pytest.raises(DialError, match="parameter trace_file"):
        read_trace(tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DialError, match="is no trace of System-1"):
        read_trace(tmp_path / "other.csv")


def test_stages_are_summed_up_over_the_chunks_that_were_sent():
    table = stage_table(ROWS)
    assert {stage: round(times["median"], 6) for stage, times in table.items()} == {
        "transport": 0.004,
        "waiting": 0.006,
        "inference": 0.03,
        "stitching": 0.005,
        "whole": 0.045,
    }
    assert stage_table(ROWS[:3]) == {}


def test_the_timeline_is_drawn(tmp_path):
    draw_timeline(ROWS, tmp_path / "run.png", 0.0, 2.0)
    with Image.open(tmp_path / "run.png") as image:
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(1_000_000)) > 30


def test_a_stretch_in_which_nothing_happened_is_refused_with_the_traces_length(tmp_path):
    with pytest.raises(DialError, match=r"the trace is 0\.9 s long"):
        draw_timeline(ROWS, tmp_path / "run.png", 5.0, 1.0)
    with pytest.raises(DialError, match="empty"):
        draw_timeline([], tmp_path / "run.png", 0.0, 1.0)
