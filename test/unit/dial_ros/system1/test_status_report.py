"""What System-1's status says."""

from types import SimpleNamespace

import numpy as np

from dial_core.control.arming import Arming
from dial_core.control.foresight_gate import Foresight, ForesightContract, ForesightGate
from dial_core.control.tracing import TraceRow
from dial_ros.node.rates import Rate, StampedStream
from dial_ros.system1.senses import REFUSED
from dial_ros.system1.status_report import Report

S = 1_000_000_000


def status(gate, now_s, report):
    camera = SimpleNamespace(rate=Rate(), arrivals=StampedStream())
    senses = SimpleNamespace(first_camera=camera, joint_rate=Rate(), joint_stamps=StampedStream(), refused=dict.fromkeys(REFUSED, 0))
    return report.status(round(now_s * S), Arming(), gate, None, senses, "ensemble")


def test_the_age_of_the_foresight_is_that_of_now_so_that_it_grows_where_system2_has_died():
    gate, report = ForesightGate(ForesightContract("m", (2, 3), 0.8)), Report()
    assert status(gate, 10.0, report).foresight_age == -1.0
    assert gate.offer(Foresight(np.zeros((2, 3), np.float32), (2, 3), "float32", round(9.75 * S), 7, "i", "m"), "i", 10 * S)
    assert status(gate, 10.0, report).foresight_age == 0.25, "before the first chunk too"
    report.sent(TraceRow("chunk", 10 * S, exposed_ns=10 * S, sent_ns=10 * S, foresight_ns=round(9.75 * S), foresight_seq=7), {})
    late = status(gate, 40.0, report)
    assert (late.foresight_age, late.foresight_seq) == (30.25, 7)
    assert late.foresight_age_of_chunk == 0.25
    gate.clear()
    assert status(gate, 40.1, report).foresight_age == -1.0
