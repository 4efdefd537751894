"""`dial record` as an operator uses it: lines at the keyboard, the recorder in a process of its own.

pytest test/ros/test_record_tool.py
"""

import subprocess
import sys

import pytest

from dial_core.bags.reader import Bag

from .conftest import START_S

pytestmark = pytest.mark.ros


def test_a_recorder_in_a_namespace_takes_the_operators_own_parameters(domain, tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    own = tmp_path / "dial.yaml"
    own.write_text("recorder: {ros__parameters: {wait_for_streams: false, extra_topics: 'gripper:std_msgs/msg/String'}}\n")
    words = ["--out", str(tmp_path / "bags"), "--namespace", "robot7", "--params-file", str(own), "--instruction", "wave"]
    command = [sys.executable, "-m", "dial_core.cli", "record", *words]
    ended = subprocess.run(command, input="first\ns\nq\n", capture_output=True, text=True, timeout=START_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "nothing came on /robot7/gripper of extra_topics" in ended.stdout
    assert {key: Bag(tmp_path / "bags/first").facts[key] for key in ("instruction", "outcome")} == {
        "instruction": "wave",
        "outcome": "success",
    }
