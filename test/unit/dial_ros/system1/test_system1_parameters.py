"""What the node's parameters share with the sessions. pytest test/unit/dial_ros/system1/test_system1_parameters.py"""

import inspect

import yaml

from dial_core.config import config_root
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.inference.system1_session import System1Session
from dial_ros.system1.system1_parameters import PARAMETERS


def test_node_sessions_and_evaluation_sample_chunks_alike():
    session = {name: parameter.default for name, parameter in inspect.signature(System1Session).parameters.items()}
    file = yaml.safe_load((config_root() / "nodes/system1.yaml").read_text())
    (values,) = (node["ros__parameters"] for node in file.values())
    for name in ("flow_steps", "noise_seed"):
        assert PARAMETERS[name].default == getattr(Protocol(), name) == session[name] == values[name]
