"""A hand that follows velocities, up to lifting an object by keys alone.

pytest test/unit/dial_ros/teleoperation/test_jogged_hand.py
"""

import numpy as np
import pytest

from dial_core.robot.embodiment import load_embodiment
from dial_core.sim.expert.placing import GRASP_HEIGHT_M
from dial_core.sim.table_model import TABLE_TOP_M
from dial_core.sim.world import World
from dial_ros.teleoperation.jogged_hand import FASTEST_M_PER_S, HIGH, Jog, JoggedHand

STEP_S = 0.05
ROBOT = load_embodiment("gr1")


@pytest.fixture(scope="module")
def hand():
    made = JoggedHand(ROBOT, "right")
    yield made
    made.close()


def test_a_still_hand_asks_for_the_joints_where_it_began(hand):
    hand.begin(ROBOT.home_position)
    np.testing.assert_array_equal(hand.step(Jog(), STEP_S), ROBOT.home_position)


def test_it_moves_along_the_velocity_no_faster_than_allowed_and_only_its_own_joints(hand):
    hand.begin(ROBOT.home_position)
    before = hand.position
    for _ in range(20):
        joints = hand.step(Jog((0.0, 0.0, 9.0)), STEP_S)
    moved = hand.position - before
    assert moved[2] == pytest.approx(20 * STEP_S * FASTEST_M_PER_S, rel=0.2)
    assert np.abs(moved[:2]).max() < 0.02
    still = [not (joint.name.startswith(("r_", "R_")) or joint.group == "waist") for joint in ROBOT.joints]
    np.testing.assert_array_equal(joints[still], ROBOT.home_position[still])


def test_it_stays_in_its_box_and_near_what_the_arm_reaches(hand):
    hand.begin(ROBOT.home_position)
    before = ROBOT.home_position
    for _ in range(120):
        joints = hand.step(Jog((9.0, 9.0, 9.0)), STEP_S)
        assert (np.abs(joints - before) <= ROBOT.velocity * STEP_S + 1e-9).all()
        before = joints
    assert (hand.position <= HIGH + 1e-6).all()
    assert (joints >= ROBOT.lower - 1e-6).all()
    assert (joints <= ROBOT.upper + 1e-6).all()


def keys_towards(wanted: np.ndarray, position: np.ndarray) -> Jog:
    """What a person holds down: full speed along every axis that is not there yet."""
    apart = wanted - position
    return Jog(tuple(np.where(np.abs(apart) > 0.004, np.sign(apart) * FASTEST_M_PER_S, 0.0)))


def test_keys_alone_lift_an_object():
    world = World("PlacematToPlate")
    seed = next(seed for seed in range(50) if _alone(world, seed))
    world.reset(seed)
    hand = JoggedHand(ROBOT, "right")
    hand.begin(world.set_points)
    thing = world.target_position()
    grasp = np.array([thing[0] - 0.01, thing[1] + 0.0, TABLE_TOP_M + GRASP_HEIGHT_M])

    def hold(wanted: np.ndarray, limit: int = 200) -> None:
        for _ in range(limit):
            jog = keys_towards(wanted, hand.position)
            if jog.still:
                return
            world.advance(hand.step(jog, STEP_S), STEP_S)

    hold(grasp + np.array([-0.10, -0.06, 0.10]))
    hold(grasp + np.array([-0.10, -0.06, 0.0]))
    hold(grasp + np.array([0.0, -0.045, 0.0]))
    hold(grasp)
    for _ in range(25):
        world.advance(hand.step(Jog(grip_per_s=1.5), STEP_S), STEP_S)
    hold(grasp + np.array([0.0, 0.0, 0.10]))
    assert world.target_position()[2] > thing[2] + 0.05
    hand.close()
    world.close()


def _alone(world: World, seed: int) -> bool:
    world.reset(seed)
    return len(world.scene.objects) == 1
