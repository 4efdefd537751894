"""`dial trace` and `dial smoothness` as a user types them."""

import inspect

from typer.testing import CliRunner

from dial_core.cli import app
from dial_core.cli.motion_commands import smoothness
from dial_core.control.motion_plan import SPLICE_LEAD_S
from dial_core.control.tracing import TraceRow, TraceWriter
from dial_core.errors import DialError

MS = 1_000_000


def test_a_trace_gives_a_figure_beside_it_and_a_table_of_stages(tmp_path):
    writer = TraceWriter(tmp_path / "run.csv")
    writer.write(TraceRow("state", 0, "running"))
    for stamp_ms in (100, 250):
        times = {"exposed_ns": 0, "received_ns": 4, "started_ns": 10, "inferred_ns": 40, "sent_ns": 45, "takes_over_ns": 65}
        writer.write(TraceRow("chunk", stamp_ms * MS, **{name: (stamp_ms + ms) * MS for name, ms in times.items()}))
    writer.close()
    result = CliRunner().invoke(app, ["trace", str(tmp_path / "run.csv")])
    assert result.exit_code == 0
    assert (tmp_path / "run.png").is_file()
    assert "2 chunks" in result.output
    assert "inference" in result.output
    assert "30.0" in result.output


def test_an_unknown_strategy_is_refused_with_the_known_ones():
    result = CliRunner().invoke(app, ["smoothness", "dial_tiny", "--strategies", "replace,average"])
    assert isinstance(result.exception, DialError)
    assert "no strategy average; choose from plain, replace, blend, ensemble, rtc" in str(result.exception)


def test_smoothness_is_measured_with_the_nodes_own_lead_by_default():
    assert inspect.signature(smoothness).parameters["lead_s"].default == SPLICE_LEAD_S
