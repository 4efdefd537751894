from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.table_model import TABLE_TOP_M
from dial_core.sim.world import World


def two_object_seed(world) -> int:
    for seed in range(20):
        world.reset(seed)
        if len(world.scene.objects) == 2:
            return seed
    raise AssertionError("no scene with two objects among 20 seeds")


def test_actuators_stand_in_vector_order(world):
    names = [world.model.actuator(i).name for i in range(world.model.nu)]
    assert tuple(names) == world.embodiment.joint_names


def test_forward_kinematics_agree_with_the_simulated_wrists(world):
    world.reset(0)
    poses = ForwardKinematics(world.embodiment).wrist_poses(world.joint_positions())
    for side, start in (("l", 0), ("r", 9)):
        body = world.data.body(f"{side}_hand_pitch")
        np.testing.assert_allclose(poses[start : start + 3], body.xpos, atol=1e-3)
        rotation = body.xmat.reshape(3, 3)
        np.testing.assert_allclose(poses[start + 3 : start + 9], rotation[:, :2].T.flatten(), atol=2e-3)


def test_the_left_hand_mirrors_the_right_one(world):
    world.reset(0)
    pose = world.embodiment.home_position.copy()
    pose[14:26] = [1.0, 1.0, 1.0, 1.0, 0.8, 1.2] * 2
    world.put_robot(pose)
    for finger in ("thumb_distal", "index_intermediate", "pinky_intermediate"):
        left, right = (world.data.body(f"{side}_{finger}_link").xpos for side in "LR")
        np.testing.assert_allclose(left * [1, -1, 1], right, atol=2e-3)


def test_a_finger_reports_the_sum_of_its_hinges(world):
    world.reset(0)
    targets = world.set_points
    targets[20:24] = 2.0
    world.advance(targets, 0.5)
    for _ in range(10):
        world.advance(targets, 0.05)
    assert np.abs(world.joint_positions()[20:24] - 2.0).max() < 0.05


def test_set_points_ramp_to_the_targets_and_stop_at_the_limits(world):
    world.reset(0)
    targets = world.set_points + 0.1
    world.advance(targets, 0.05)
    np.testing.assert_allclose(world.set_points, np.clip(targets, world.embodiment.lower, world.embodiment.upper))
    assert world.time_s == pytest.approx(0.05)
    world.advance(np.full(29, 100.0), 0.05)
    np.testing.assert_allclose(world.set_points, world.embodiment.upper)


def test_the_robot_holds_its_home_pose_still(world):
    world.reset(1)
    start = world.joint_positions()
    for _ in range(10):
        world.advance(world.set_points, 0.05)
    assert np.abs(world.joint_positions() - start).max() < 5e-3


def test_the_same_seed_gives_the_same_bytes(world):
    def episode(world):
        world.reset(7)
        targets = world.set_points
        frames = [world.render()]
        for _ in range(4):
            targets[10] -= 0.05
            world.advance(targets, 0.05)
            frames.append(world.render())
        return np.stack(frames).tobytes(), world.joint_positions().tobytes(), world.instruction

    first = episode(world)
    world.reset(8)
    world.advance(world.set_points + 0.2, 0.1)
    assert episode(world) == first
    other = World()
    assert episode(other) == first
    other.close()


def test_objects_rest_where_the_scene_put_them(world):
    for seed in range(6):
        world.reset(seed)
        for thing in world.scene.objects:
            slot = world.slots[thing.type]
            np.testing.assert_allclose(world.data.xpos[slot.body][:2], thing.xy, atol=2e-3)
            assert world.data.xpos[slot.body][2] == pytest.approx(TABLE_TOP_M + thing.half_height, abs=2e-3)


def test_target_changes_the_instruction_and_nothing_in_the_image(world):
    seed = two_object_seed(world)
    images, names = [], []
    for target in (0, 1):
        world.reset(seed, target=target)
        images.append(world.render())
        names.append(world.scene.objects[target].type)
        assert names[-1] in world.instruction
    np.testing.assert_array_equal(*images)
    assert names[0] != names[1]
    assert names[0] not in world.instruction


def test_a_target_that_is_not_there_is_refused(world):
    with pytest.raises(DialError, match=r"target 5 .* 0\.\."):
        world.reset(0, target=5)


def test_only_the_named_object_on_the_target_counts_as_success(world):
    seed = two_object_seed(world)
    for named in (0, 1):
        world.reset(seed, target=named)
        thing, goal = world.scene.objects[1], world.scene.goal
        height = TABLE_TOP_M + 2 * goal.half_height + thing.half_height
        slot = world.slots[thing.type]
        slot.place(world.model, world.data, np.array([*goal.xy, height]), np.array([1.0, 0, 0, 0]))
        for _ in range(4):
            world.advance(world.set_points, 0.05)
        assert world.moved_objects() == [1]
        assert world.success() == (named == 1)


def test_half_of_the_scenes_have_a_second_object_of_another_type(world):
    scenes = []
    for seed in range(60):
        world.reset(seed)
        scenes.append(world.scene)
    pairs = [scene for scene in scenes if len(scene.objects) == 2]
    assert 18 <= len(pairs) <= 42
    for scene in pairs:
        first, second = scene.objects
        assert first.type != second.type
        assert np.linalg.norm(first.xy - second.xy) > 0.14
    assert {scene.objects[scene.target].type for scene in scenes} == set(world.task.objects)
    # Neither the place nor the order gives away which object is named.
    left = [scene.objects[scene.target].y > scene.objects[1 - scene.target].y for scene in pairs]
    assert 0.2 < np.mean(left) < 0.8


def test_a_negative_seed_is_refused_and_changes_nothing(world):
    world.reset(4)
    with pytest.raises(DialError, match="seed -1 of a scene is negative"):
        world.reset(-1)
    assert world.scene.seed == 4


def test_several_threads_may_render_one_world_after_another():
    # A thread that ends leaves its rendering context current; from then on no other thread may use it.
    world = World()
    try:
        with ThreadPoolExecutor(1) as pool:
            elsewhere = pool.submit(world.render).result()
        np.testing.assert_array_equal(world.render(), elsewhere)
        with ThreadPoolExecutor(1) as pool:
            np.testing.assert_array_equal(pool.submit(world.render).result(), elsewhere)
    finally:
        world.close()


def test_a_model_that_one_thread_compiles_anew_is_what_another_sees():
    world = World("PlateToBowl")  # of more types than fit in one model: compiled for each scene
    try:
        world.render()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(world.reset, 1).result()
            elsewhere = pool.submit(world.render).result()
        np.testing.assert_array_equal(world.render(), elsewhere)
    finally:
        world.close()
