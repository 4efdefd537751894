"""The URDF is the MuJoCo model's robot: MuJoCo reads it back, and its wrists, palms and fingers stand where ours do.

pytest test/unit/sim/test_urdf.py
"""

from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.robot import coupled_hinges
from dial_core.sim.robot_urdf import robot_urdf
from dial_core.sim.world import build_model

EMBODIMENT = load_embodiment("gr1")


@pytest.fixture(scope="module")
def models():
    text = robot_urdf(EMBODIMENT)
    root = ElementTree.fromstring(text)
    compiler = ElementTree.SubElement(ElementTree.SubElement(root, "mujoco"), "compiler")
    compiler.attrib.update({"fusestatic": "false", "discardvisual": "true"})
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode")), build_model(EMBODIMENT, [])


def test_every_commanded_joint_is_there_with_its_limits(models):
    urdf = models[0]
    for joint in EMBODIMENT.joints:
        np.testing.assert_allclose(urdf.joint(joint.name).range, [joint.lower, joint.upper], atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bodies_stand_where_they_stand_in_our_model_whatever_the_pose(models, seed):
    rng = np.random.default_rng(seed)
    pose = rng.uniform(EMBODIMENT.lower, EMBODIMENT.upper)
    urdf, ours = models
    theirs, mine = mujoco.MjData(urdf), mujoco.MjData(ours)
    for value, joint, hinges in zip(pose, EMBODIMENT.joints, coupled_hinges(EMBODIMENT), strict=True):
        theirs.joint(joint.name).qpos = value
        for hinge in hinges:
            if len(hinges) > 1:
                theirs.joint(f"{hinge}_hinge").qpos = value / 2
            mine.joint(hinge).qpos = value / len(hinges)
    mujoco.mj_kinematics(urdf, theirs)
    mujoco.mj_kinematics(ours, mine)
    bodies = [link.body for link in EMBODIMENT.links] + ["r_palm", "l_palm", "R_index_intermediate_link", "L_thumb_distal_link"]
    for body in bodies:
        np.testing.assert_allclose(theirs.body(body).xpos, mine.body(body).xpos, atol=1e-5, err_msg=body)
    wrists = ForwardKinematics(EMBODIMENT).wrist_poses(pose)
    np.testing.assert_allclose(theirs.body(EMBODIMENT.wrists.right).xpos, wrists[9:12], atol=1e-5)


def test_the_camera_points_where_ours_points(models):
    urdf, ours = models
    theirs, mine = mujoco.MjData(urdf), mujoco.MjData(ours)
    mujoco.mj_kinematics(urdf, theirs)
    mujoco.mj_forward(ours, mine)
    optical, camera = theirs.body("ego_optical_frame"), mine.camera("ego")
    np.testing.assert_allclose(optical.xpos, camera.xpos, atol=1e-6)
    # Optical frame: z ahead, x right, y down. MuJoCo's camera: -z ahead, x right, y up.
    np.testing.assert_allclose(optical.xmat.reshape(3, 3), camera.xmat.reshape(3, 3) * [1, -1, -1], atol=1e-6)
