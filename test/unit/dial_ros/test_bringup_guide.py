"""The bring-up guide explains every diagnostic there is: a new one without its line fails here."""

from pathlib import Path

import pytest

from dial_core.control.arming import State
from dial_core.control.foresight_gate import Refusal
from dial_core.control.joint_limits import Limit
from dial_ros.system1.senses import REFUSED

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "BRINGUP.md").read_text()
TABLE = DOCUMENT.split("## What each diagnostic means")[1]


@pytest.mark.parametrize("name", [*Refusal, *Limit, *REFUSED])
def test_every_counter_is_explained(name):
    assert f"`{name}`" in TABLE


@pytest.mark.parametrize("state", [state for state in State if state not in (State.INACTIVE, State.RUNNING)])
def test_every_state_in_which_the_robot_stands_is_explained(state):
    assert state.value in TABLE
