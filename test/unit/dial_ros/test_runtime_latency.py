"""The figures of the latency benchmark; its run needs a simulation and minutes.

pytest test/unit/dial_ros/test_runtime_latency.py
"""

from rich.console import Console

from dial_ros.benchmarks.runtime_latency import LatencyPhase, report


def phase(runtime, command_ms, system1_ms=40.0):
    return LatencyPhase(runtime, command_ms, system1_ms, 30.0, 90.0, 6.0, 0.9, 100)


def test_changes_are_medians_of_the_rounds_against_the_first_runtime(capsys):
    phases = [
        phase("eager", 200.0),
        phase("aoti", 150.0, 20.0),
        phase("eager", 100.0),
        phase("aoti", 90.0),
        phase("eager", 80.0),
        phase("aoti", 40.0),
    ]
    figures = report(phases, Console(width=140))
    assert figures["against"] == "eager"
    assert figures["changes"] == {
        "aoti": {"camera_to_command_ms": -0.25, "system1_ms": 0.0, "system2_ms": 0.0, "camera_to_foresight_ms": 0.0}
    }
    assert len(figures["phases"]) == 6
    assert "camera to command [ms]" in capsys.readouterr().out
