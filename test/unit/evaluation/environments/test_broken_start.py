"""What the environment server finds wrong with a scene before the robot has moved, on scenes of MuJoCo itself.

pytest test/unit/evaluation/environments/test_broken_start.py
"""

from types import SimpleNamespace

import mujoco
import pytest

from dial_core.evaluation.closed_loop.benchmark import StartLimits
from dial_core.evaluation.environments.environment_server import broken_start

SCENE = """
<mujoco>
  <worldbody>
    <geom name="table" type="box" size="0.4 0.4 0.02" pos="0 0 0.78"/>
    <body name="robot0_base" pos="-0.6 0 0.9">
      <body name="robot0_arm" pos="0 0 0"><joint name="arm" type="hinge"/><geom type="capsule" size="0.04" fromto="0 0 0 0.3 0 0"/></body>
    </body>
    <body name="robot0_floating" pos="-2 0 0.1"><freejoint/><geom size="0.02"/></body>
    <body name="cup" pos="{cup}"><freejoint/><geom type="box" size="0.03 0.03 0.03"/></body>
    <body name="drawer" pos="0.3 0 0.9"><joint type="slide"/><geom size="0.02"/></body>
  </worldbody>
</mujoco>
"""


def start_of(cup: str, speed_m_s: float = 0.0) -> list[str]:
    model = mujoco.MjModel.from_xml_string(SCENE.format(cup=cup))
    data = mujoco.MjData(model)
    first = model.jnt_dofadr[model.body("cup").jntadr[0]]
    data.qvel[first] = speed_m_s
    mujoco.mj_forward(model, data)
    sim = SimpleNamespace(model=SimpleNamespace(_model=model), data=SimpleNamespace(_data=data))  # as robosuite wraps them
    return broken_start(sim, StartLimits().model_dump())


@pytest.mark.parametrize(
    ("cup", "speed_m_s", "faults"),
    [
        ("0 0 0.83", 0.0, []),
        ("0 0 0.83", 0.4, []),
        ("0 0 0.83", 0.6, ["something still moves"]),
        ("1 0 0.03", 0.0, ["something has fallen"]),
        ("-0.4 0 0.9", 0.0, ["the robot overlaps something"]),
        ("-0.235 0 0.9", 0.0, []),  # 5 mm into the hand: contacts are soft
        ("0 0 0.81", 0.0, []),  # sunk into the table: things settle, robots do not
        ("1 0 0.03", 0.9, ["something still moves", "something has fallen"]),
    ],
    ids=["sound", "slow", "at speed", "on the floor", "in the arm", "at the hand", "in the table", "falling"],
)
def test_faults_of_a_start_are_found_and_the_robots_own_parts_are_none(cup, speed_m_s, faults):
    assert start_of(cup, speed_m_s) == faults
