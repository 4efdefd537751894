"""The true GR1 of robosuite in its own environment: our joints, units, frames and images against robosuite's kinematics.

    python -m pytest test/unit/evaluation/environments/test_robosuite_gr1.py -m nightly

Installs the environment if it is missing, as `dial robocasa setup --robosuite-only` does (1.3 GB from PyPI), and uses it otherwise.
"""

import json

import numpy as np
import pytest

from dial_core.evaluation.closed_loop.benchmark import load_benchmark
from dial_core.evaluation.closed_loop.evaluate import evaluate, prepare
from dial_core.evaluation.closed_loop.installation import FACTS, install
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.robocasa import RobocasaArena
from dial_core.evaluation.closed_loop.suites import suite_protocol
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.robot.rotations import rotation_from_6d

pytestmark = pytest.mark.nightly

SEED = 100_000
STEPS = 50
CAMERA, CUBE = "robot0_robotview", "cube_main"
# The bodies whose poses the release's vectors hold; they coincide with the last link of each arm, which our wrists are.
WRISTS = {"left": "gripper0_left_l_palm", "right": "gripper0_right_r_palm"}
# Body pairs whose relative rotation is one hinge: palm to finger, finger to its tip.
INDEX = ("gripper0_right_r_palm", "gripper0_right_R_index_proximal_link", "gripper0_right_R_index_intermediate_link")
# A different change for every joint [rad], away from its limits: a wrong order, sign or unit shows.
CHANGES = np.concatenate(
    [
        [0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40],
        [-0.12, -0.17, -0.22, -0.27, -0.32, -0.37, -0.42],
        [0.4, 0.8, 1.2, 1.6, 1.0, 0.5],
        [0.5, 0.9, 1.3, 1.7, 1.1, 0.3],
        [0.10, 0.20, -0.15],
    ]
)


@pytest.fixture(scope="module")
def benchmark():
    found = load_benchmark("robosuite_gr1")
    if not (found.installation.python.parent.parent / FACTS).is_file():
        install(found, print)
    return found


@pytest.fixture(scope="module")
def arena(benchmark):
    made = RobocasaArena(benchmark, "Lift")
    yield made
    made.close()


def poses(arena, *bodies: str) -> dict[str, np.ndarray]:
    """Poses (4, 4) in robosuite's world."""
    return arena._server.call("poses", bodies=list(bodies), cameras=[])[1]


def move(arena, targets: np.ndarray) -> np.ndarray:
    """Joints (J,) after 50 control steps, the first 20 of them on the way to `targets`."""
    start = arena.observe(look=False).joints
    for step in range(1, STEPS + 1):
        arena.advance(start + (targets - start) * min(1.0, step / 20))
    return arena.observe(look=False).joints


def hinge(before: dict, after: dict, parent: str, child: str) -> float:
    """Angle [rad] by which `child` turned against `parent`."""
    first, last = (np.linalg.inv(at[parent][:3, :3]) @ at[child][:3, :3] for at in (before, after))
    return float(np.arccos(np.clip((np.trace(first.T @ last) - 1) / 2, -1, 1)))


def in_image(arena, point: np.ndarray) -> tuple[int, int]:
    """Row and column of the 256x256 image at which robosuite's camera sees a point of the world (3,) [m]."""
    answer, found = arena._server.call("poses", bodies=[], cameras=[CAMERA])
    x, y, z = (np.linalg.inv(found[CAMERA]) @ [*point, 1.0])[:3]
    focal_px = 400 / np.tan(np.radians(answer["fovy"][CAMERA]) / 2)
    row, column = 400 - focal_px * y / -z, 640 + focal_px * x / -z  # of 800x1280; a camera looks along its -z
    return round(((row - 310) * 480 / 460 + 120) * 256 / 720), round((column - 110) * 256 / 1020)


def assert_wrists_agree(arena) -> None:
    """Our forward kinematics and the reported base give the wrists' poses that robosuite has."""
    seen, kinematics = arena.observe(look=False), ForwardKinematics(arena.embodiment)
    theirs = poses(arena, *WRISTS.values())
    for side, ours in zip(("left", "right"), np.split(kinematics.wrist_poses(seen.joints), 2), strict=True):
        position = seen.base[:3, :3] @ ours[:3] + seen.base[:3, 3]
        np.testing.assert_allclose(position, theirs[WRISTS[side]][:3, 3], atol=1e-3, err_msg=f"{side} wrist [m]")
        rotation = seen.base[:3, :3] @ rotation_from_6d(ours[3:])
        np.testing.assert_allclose(rotation, theirs[WRISTS[side]][:3, :3], atol=2e-3, err_msg=f"{side} wrist's rotation")


def assert_cube_is_where_the_camera_sees_it(arena) -> None:
    image = arena.observe().image.astype(int)
    red = (image[..., 0] - image[..., 1] > 20) & (image[..., 0] - image[..., 2] > 20)  # its shaded side too
    assert red.sum() > 30
    expected = in_image(arena, poses(arena, CUBE)[CUBE][:3, 3])
    np.testing.assert_allclose(np.argwhere(red).mean(0), expected, atol=2.0)


def test_every_joint_goes_where_our_embodiment_sends_it(arena):
    arena.reset(SEED)
    start = arena.observe(look=False).joints
    assert_wrists_agree(arena)
    before = poses(arena, *INDEX)
    reached = move(arena, start + CHANGES)
    assert arena.steps == STEPS
    # Arms and waist are servoed by robosuite with gravity compensated; fingers are weak position servos with coupled loads.
    np.testing.assert_allclose((reached - start)[[*range(14), 26, 27, 28]], CHANGES[[*range(14), 26, 27, 28]], atol=0.01)
    np.testing.assert_allclose((reached - start)[14:26], CHANGES[14:26], atol=0.12)
    assert_wrists_agree(arena)
    after = poses(arena, *INDEX)
    both = hinge(before, after, INDEX[0], INDEX[1]) + hinge(before, after, INDEX[1], INDEX[2])
    assert both == pytest.approx(reached[23] - start[23], abs=0.12), "our finger is the sum of its two hinges"


def test_the_image_shows_what_robosuite_has_where_its_camera_is(arena):
    arena.reset(SEED)
    image = arena.observe().image
    assert (image.shape, image.dtype) == ((256, 256, 3), np.uint8)
    assert not image[:42].any(), "a black bar above"
    assert not image[214:].any(), "and below"
    assert_cube_is_where_the_camera_sees_it(arena)
    turned = arena.observe(look=False).joints
    turned[26:28] += [0.15, -0.05]  # the waist carries the camera
    move(arena, turned)
    assert_cube_is_where_the_camera_sees_it(arena)


def reach(arena, joints: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Joints (J,) whose right wrist lies at `to` (3,) [m] in the base frame: damped least squares on our kinematics, right arm only."""
    kinematics, arm = ForwardKinematics(arena.embodiment), np.arange(7, 14)
    joints = joints.copy()
    for _ in range(100):
        at = kinematics.wrist_poses(joints)[9:12]
        moved = joints + 1e-5 * np.eye(len(joints))[arm]
        jacobian = ((kinematics.wrist_poses(moved)[:, 9:12] - at) / 1e-5).T
        joints[arm] += jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-3 * np.eye(3), to - at)
        joints = np.clip(joints, arena.embodiment.lower, arena.embodiment.upper)
    np.testing.assert_allclose(kinematics.wrist_poses(joints)[9:12], to, atol=1e-3)
    return joints


def test_a_scripted_reach_ends_at_its_goal_and_in_the_image(arena):
    arena.reset(SEED)
    seen = arena.observe(look=False)
    start = poses(arena, WRISTS["right"])[WRISTS["right"]][:3, 3]
    goal = start + np.array([0.10, 0.12, 0.03])  # ahead, inward, up: over the table
    joints = reach(arena, seen.joints, seen.base[:3, :3].T @ (goal - seen.base[:3, 3]))
    move(arena, joints)
    ended = poses(arena, WRISTS["right"], INDEX[1])
    np.testing.assert_allclose(ended[WRISTS["right"]][:3, 3], goal, atol=0.01)
    row, column = in_image(arena, ended[INDEX[1]][:3, 3])
    patch = arena.observe().image[row - 2 : row + 3, column - 2 : column + 3]
    assert patch.mean() < 80, f"the black hand is at row {row}, column {column}"


def test_equal_seeds_give_equal_scenes_in_different_servers(benchmark, arena):
    arena.reset(SEED + 1)
    other = RobocasaArena(benchmark, "Lift")
    try:
        other.reset(SEED + 1)
        assert other.scene_id() == arena.scene_id()
        other.reset(SEED + 2)
        assert other.scene_id() != arena.scene_id()
    finally:
        other.close()


@pytest.mark.parametrize("rules", ["authors", "authors_settled", "strict"])
def test_the_harness_evaluates_under_every_protocol(rules, benchmark, checkpoint, tmp_path, fresh_worker):
    source = PolicySource("checkpoint", str(checkpoint))
    values = suite_protocol("robosuite_gr1", rules) | {"suite": "robosuite_gr1", "tasks": ("Lift",), "episodes": 1}
    summary = evaluate(prepare(Protocol(**values), source), source, tmp_path / "out", workers=0)
    (episode,) = summary["episodes"]
    assert episode["error"] is None
    assert (episode["steps"], episode["success"]) == (benchmark.max_steps, False), "random weights lift nothing"
    facts = json.loads((benchmark.installation.python.parent.parent / FACTS).read_text())
    assert facts["packages"]["robosuite"] == "1.5.1"
