"""Nothing is imported in front of a moving robot: from the end of `configure` to the first foresight, its image and the first chunk."""

import re

import pytest
import yaml
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image

from dial_core.config import config_path
from dial_ros.msg import LatentForesight
from dial_ros.node import qos
from dial_ros.srv import SetInstruction

from .conftest import START_S

pytestmark = pytest.mark.ros

POLICY = ("system1", "system2")
IMPORTED = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def embodiment(tmp_path_factory):
    """The GR1 with a camera whose images are larger than the model's, as every real one's."""
    values = yaml.safe_load(config_path("embodiments", "gr1").read_text())
    values["cameras"][0] |= {"height": 240, "width": 320}
    path = tmp_path_factory.mktemp("embodiment") / "gr1.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def change_state(probe, node: str, transition: int) -> None:
    assert probe.call(ChangeState, f"{node}/change_state", ChangeState.Request(transition=Transition(id=transition))).success


def test_nothing_is_imported_after_configure_until_the_first_foresight_and_chunk_are_out(nodes, probe, checkpoint, embodiment):
    nodes.start("mujoco_robot", autostart=True, embodiment=embodiment)
    policy = {"use_sim_time": True, "checkpoint": checkpoint, "embodiment": embodiment, "runtime": "eager"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPROFILEIMPORTTIME", "1")  # every module that is loaded becomes a line of the log
        nodes.start("system1", **policy)
        nodes.start("system2", **policy, foresight_image=True)
    probe.foresight = probe.image = None
    probe.keep(LatentForesight, "foresight", "foresight", qos.LATEST)
    probe.keep(Image, "foresight/image", "image", qos.SENSOR)
    for node in POLICY:
        probe.until(lambda node=node: probe.count_publishers(f"/{node}/transition_event"), f"{node} up", START_S)
        change_state(probe, node, Transition.TRANSITION_CONFIGURE)
    configured = {node: len(nodes.log(node)) for node in POLICY}
    for node in POLICY:
        change_state(probe, node, Transition.TRANSITION_ACTIVATE)
    assert probe.call(SetInstruction, "system2/set_instruction", SetInstruction.Request(text="pick the can")).success
    probe.until(lambda: probe.foresight and probe.image and probe.trajectories, "a foresight, its image and a chunk")
    for node in POLICY:
        log = nodes.log(node)
        assert "torch" in IMPORTED.findall(log[: configured[node]])
        assert IMPORTED.findall(log[configured[node] :]) == [], node
