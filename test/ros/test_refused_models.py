"""A policy node refuses what does not fit before it reads weights, and keeps no model of a `configure` that failed later."""

import gc
import weakref

import pytest
import rclpy
import torch
from rclpy.lifecycle import TransitionCallbackReturn

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.errors import DialError
from dial_core.inference import system1_session, system2_session
from dial_ros.system1.system1_node import System1Node
from dial_ros.system2.system2_node import System2Node

pytestmark = pytest.mark.ros

NODES = pytest.mark.parametrize("kind", [System1Node, System2Node])


@pytest.fixture
def make_node(domain, checkpoint):
    """(class, parameters) -> a node with the random checkpoint."""
    made = []

    def make(kind, **parameters):
        values = {"checkpoint": str(checkpoint), "runtime": "eager"} | parameters
        rclpy.init(domain_id=domain, args=["--ros-args", *(word for key in values for word in ("-p", f"{key}:={values[key]}"))])
        made.append(kind())
        return made[0]

    yield make
    made[0].destroy_node()
    rclpy.shutdown()


def load_by(monkeypatch, load) -> None:
    """Both systems' sessions read their checkpoints with `load`."""
    for module in (system1_session, system2_session):
        monkeypatch.setattr(module, "load_checkpoint", load)


@NODES
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"device": f"cuda:{torch.cuda.device_count()}"}, "PyTorch finds .* GPUs"),
        ({"device": "gpu"}, "device 'gpu' is none"),
        ({"runtime": "onyx"}, "unknown runtime 'onyx'"),
        ({"runtime": "tensorrt-bf16"}, "runs on an NVIDIA GPU only"),
        ({"embodiment": "tabletop"}, "does not fit this robot"),
        ({"camera": "wrist"}, "has no camera 'wrist'"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_weights_are_read(make_node, monkeypatch, kind, wrong, why):
    load_by(monkeypatch, lambda *_, **__: pytest.fail("weights were read"))
    with pytest.raises(DialError, match=why):
        make_node(kind, **wrong).configure()


def test_a_foresight_timeout_beyond_the_horizon_is_refused_before_any_weights_are_read(make_node, monkeypatch):
    load_by(monkeypatch, lambda *_, **__: pytest.fail("weights were read"))
    with pytest.raises(DialError, match="predicts only"):
        make_node(System1Node, foresight_timeout=2.5).configure()


@NODES
def test_a_model_is_freed_whose_node_fails_to_configure_after_it_was_loaded(make_node, monkeypatch, kind):
    loaded = []

    def remembered(*arguments, **options):
        found = load_checkpoint(*arguments, **options)
        loaded.append(weakref.ref(found.model))
        return found

    load_by(monkeypatch, remembered)
    node = make_node(kind, image_transport="pigeon")
    gc.disable()  # or a collection by chance frees it
    try:
        assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
        (model,) = loaded
        assert model() is None
    finally:
        gc.enable()
