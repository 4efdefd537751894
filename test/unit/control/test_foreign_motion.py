"""A controller that moves by what System-1 did not send: it is named, and nothing is spliced into it until it rests."""

import numpy as np
import pytest

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import JointMotion
from dial_core.control.motion_plan import SpliceMissedError

from .test_arrival import GR1, MS, restless
from .test_executed_motion import S, follow_chunks, reporting


def test_it_is_named_until_it_rests():
    execution = ExecutedMotion({"arm": [0, 1], "hand": [2]}, ("a", "b", "c"), max_divergence_rad=0.3)
    sent = JointMotion.standing(S, np.zeros(3))
    execution.sent(sent, round(1.1 * S), round(1.15 * S))
    for time_s, position, moved in ((1.2, 0.5, []), (1.3, 0.5001, ["arm"]), (1.4, 0.5001, []), (1.5, 0.6, ["arm"])):
        execution.note_reference("arm", round(time_s * S), None, np.full(2, position))
        assert execution.moved_by_others(round(time_s * S)) == moved
    assert execution.moved_by_others(3 * S) == [], "it has stopped reporting"
    execution.note_reference("arm", round(3.1 * S), sent.origin_ns, np.zeros(2))
    assert execution.moved_by_others(round(3.1 * S)) == [], "it moves by what was sent"


def test_no_chunk_is_sent_meanwhile():
    world, plan = reporting(transport_ms=10)
    follow_chunks(world, plan, 4)
    published = world.published
    for k, position in enumerate((0.3, 0.31)):
        plan.execution.note_reference("arm", world.time_ns + k * MS, 17, np.full(29, position))
    with pytest.raises(SpliceMissedError, match="arm moves by what was not sent"):
        plan.follow(restless(np.random.default_rng(1), 1.0), world.time_ns - 50 * MS, GR1.home_position, world)
    assert world.published == published
