"""After the warm-up nothing is recorded any more, whichever strategy runs."""

import numpy as np
import pytest

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.control.overlap import Committed
from dial_core.inference import policy_server
from dial_core.inference.cuda_graph import Recording
from dial_core.inference.policy_server import PolicyServer
from dial_core.inference.system1_session import System1Session
from dial_core.inference.warm_up import warm_up_system1


def record(function, inputs):
    result = function(*inputs)
    return Recording(inputs, lambda: None, tuple(tensor.clone() for tensor in result))


def captured(session):
    session._act.recorder = session._see.recorder = record
    return session


@pytest.mark.parametrize(("committing", "recordings"), [(False, (1, 0)), (True, (1, 1))])
def test_what_a_strategy_computes_with_is_recorded_ahead(random_checkpoint, committing, recordings):
    session = captured(System1Session(load_checkpoint(random_checkpoint)))
    state = np.zeros(session.contract.state_dim, np.float32)
    warm_up_system1(session, state, committing)
    assert (len(session._act), len(session._see)) == recordings
    committed = Committed(np.zeros((session.contract.horizon, session.contract.action_dim)), np.ones(session.contract.horizon))
    session.chunk(np.zeros((96, 96, 3), np.uint8), np.zeros(session.contract.foresight_shape, np.float32), state, committed)
    assert len(session._see) == 1


def test_a_policy_server_warms_up_both_before_a_client_waits_for_a_chunk(random_checkpoint, monkeypatch):
    monkeypatch.setattr(policy_server, "System1Session", lambda *args: captured(System1Session(*args)))
    server = PolicyServer(random_checkpoint)
    try:
        for session in (server.system1(), server.system1(noise_seed=3)):
            assert (len(session._act), len(session._see)) == (1, 1)
    finally:
        server.server_close()
