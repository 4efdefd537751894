"""The bookkeeping of captured calls, with a recorder that replays on the CPU as a CUDA graph does: on fixed memory."""

import logging

import pytest
import torch

from dial_core.inference.cuda_graph import KEPT, Captured, Recording, recorder_for


def both(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return a + b, a * b


class FixedMemory:
    """Records a function of two tensors; counts how often."""

    def __init__(self):
        self.recorded = 0

    def __call__(self, function, inputs) -> Recording:
        self.recorded += 1
        result = function(*inputs)

        def replay():
            for mine, new in zip(result, function(*inputs), strict=True):
                mine.copy_(new)

        return Recording(inputs, replay, result)


@pytest.fixture
def recorder():
    return FixedMemory()


def test_a_replay_gives_what_the_function_gives_and_records_once_a_shape(recorder):
    captured = Captured(both, recorder)
    for length in (3, 3, 5, 3):
        a, b = torch.randn(length), torch.randn(length)
        for found, expected in zip(captured(a, b), both(a, b), strict=True):
            torch.testing.assert_close(found, expected)
    assert recorder.recorded == 2


def test_the_callers_tensors_stay_their_own(recorder):
    captured, a = Captured(both, recorder), torch.ones(2)
    captured(a, a)
    captured(torch.zeros(2), torch.zeros(2))
    assert torch.equal(a, torch.ones(2))


def test_only_the_latest_recordings_are_kept(recorder):
    captured = Captured(both, recorder)
    for length in range(1, KEPT + 2):
        captured(torch.zeros(length), torch.zeros(length))
    captured(torch.zeros(KEPT), torch.zeros(KEPT))  # still there
    assert recorder.recorded == KEPT + 1
    captured(torch.zeros(1), torch.zeros(1))  # was dropped
    assert recorder.recorded == KEPT + 2


def test_where_capture_fails_calls_run_uncaptured_and_the_log_says_so_once(caplog):
    tries = []

    def fails(function, inputs):
        tries.append(function)
        raise RuntimeError("operation not permitted when stream is capturing")

    captured, a = Captured(both, fails), torch.ones(2)
    with caplog.at_level(logging.WARNING):
        results = [captured(a, a) for _ in range(2)]
    assert all(torch.equal(total, 2 * a) for total, _ in results)
    assert len(tries) == 1
    (record,) = caplog.records
    assert "capture failed" in record.message
    assert "not permitted" in record.message


def test_only_cuda_captures():
    assert recorder_for(torch.device("cpu")) is None
    assert recorder_for(torch.device("cuda"), capture=False) is None
    assert recorder_for(torch.device("cuda")) is not None
