"""What a released model occupied goes back to the system, on the GPU too. pytest test/unit/dial_ros/node/test_returned_memory.py"""

import gc
import sys
import weakref

import pytest
import torch

from dial_ros.node.process import return_memory


class Model:
    """In a cycle of references, as every session is."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("initialised", [True, False])
def test_the_memory_that_torch_keeps_on_a_gpu_is_freed_once_the_model_is(monkeypatch, initialised):
    model = Model()
    reference = weakref.ref(model)
    alive_when_freed = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: initialised)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive_when_freed.append(reference() is not None))
    gc.disable()
    try:
        del model
        return_memory()
    finally:
        gc.enable()
    assert alive_when_freed == [False] * initialised
    assert reference() is None


def test_a_process_without_torch_does_not_import_it_for_that(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # an import would raise
    return_memory()
