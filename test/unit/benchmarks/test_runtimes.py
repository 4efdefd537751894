"""Times of runtimes: waiting counts as wall time only, and rows say how many times as fast as the first they are.

pytest test/unit/benchmarks/test_runtimes.py
"""

import time

import pytest

from dial_core.benchmarks import runtimes


def test_waiting_is_wall_time_but_no_processor_time(monkeypatch):
    clock = {"wall": 0.0, "processor": 0.0}

    def computes(seconds, waits=0.0):
        clock["processor"] += seconds
        clock["wall"] += seconds + waits

    monkeypatch.setattr(time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(time, "process_time", lambda: clock["processor"])
    two_sessions = {"System-2": [lambda: computes(0.02, waits=0.06), lambda: computes(0.01)]}
    monkeypatch.setattr(runtimes, "_sessions", lambda *_: two_sessions)
    eager, exported = runtimes.bench_runtimes("any", ["eager", "exported"], calls=5)
    assert (eager.median_ms, eager.processor_ms) == pytest.approx((80, 20))
    assert (exported.median_ms, exported.processor_ms) == pytest.approx((10, 10))
    assert (exported.speedup, exported.processor_speedup) == pytest.approx((8, 2))
    cells = [list(column.cells) for column in runtimes.table_of_runtimes([eager, exported], "any").columns]
    assert cells[-2:] == [["20.00", "10.00"], ["1.00x", "2.00x"]]
