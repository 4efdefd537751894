"""A model made ready to infer, by one thread or by several."""

import threading

import torch
from torch import nn

from dial_core.inference.ready import ready_to_infer

THREADS = 4


def test_a_model_that_several_threads_make_ready_at_once_keeps_its_weights():
    model = nn.Sequential(*(nn.Linear(384, 256, bias=False) for _ in range(8)))
    expected = [layer.weight.detach().clone() for layer in model]
    together = threading.Barrier(THREADS)

    def make_ready():
        together.wait()
        ready_to_infer(model, torch.device("cpu"), torch.float32)

    threads = [threading.Thread(target=make_ready) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for layer, weight in zip(model, expected, strict=True):
        assert layer.weight.t().is_contiguous()
        assert torch.equal(layer.weight, weight)
