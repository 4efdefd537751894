"""Commands whose topics, names or units are not the embodiment's: read by the mapping, or refused where the joints say otherwise.

pytest test/unit/importers/test_command_mappings.py
"""

import numpy as np
import pytest

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import BagError, Topic
from dial_core.bags.synthetic import CONTROLLER, ELBOW, IMAGE, JOINTS, MS, ROBOT, TYPES, cdr, elbow, header, image_bytes
from dial_core.control.joint_trajectory_controller import ControllerRules
from dial_core.errors import DialError
from dial_core.importers.bag.bag_report import not_used
from dial_core.importers.bag.mapping import BagMapping, CommandTopic, NamedJoints, read_controller_rules

from .recordings import ARRAY, IMAGE_TYPE, JOINT_STATE, START_NS, TRAJECTORY, arm_at, camera_and_joints, trajectory, write
from .test_bag_commands import record, require_right, resampled

RIGHT = CONTROLLER
LEFT = next(controller for controller in ROBOT.controllers if controller.name == "left_arm_controller")
BOTH = (*LEFT.joints, *RIGHT.joints)
LEFT_ELBOW = ROBOT.joint_names.index("l_elbow_pitch")


def both_at(time_s):
    """Where both arms are wanted [rad]: both elbows move alike."""
    positions = ROBOT.home_position.copy()
    positions[ELBOW] = elbow(time_s)
    positions[LEFT_ELBOW] = ROBOT.home_position[LEFT_ELBOW] + elbow(time_s) - elbow(0)
    return positions[ROBOT.indices(BOTH)]


def array(positions):
    return cdr(ARRAY, TYPES[ARRAY](TYPES["std_msgs/msg/MultiArrayLayout"]([], 0), np.asarray(positions, float)))


def joint_state(stamp_ns, names, positions):
    return cdr(JOINT_STATE, TYPES[JOINT_STATE](header(stamp_ns), list(names), np.asarray(positions, float), np.empty(0), np.empty(0)))


def both_arms_move(seconds=5.0):
    """Camera and joints of a robot whose elbows both follow `both_at`, 40 ms behind."""
    made = camera_and_joints(seconds, joints=False)
    for ms in range(0, round(seconds * 1000), 10):
        stamp_ns, positions = START_NS + ms * MS, ROBOT.home_position.copy()
        positions[ROBOT.indices(BOTH)] = both_at(stamp_ns / 1e9 - 0.04)
        made.append((JOINTS, JOINT_STATE, stamp_ns + 2 * MS, joint_state(stamp_ns, ROBOT.joint_names, positions)))
    return made


TO_BOTH = {
    "one array": (ARRAY, lambda ns, s: array(both_at(s + 0.04)), BOTH),
    "one joint state": (JOINT_STATE, lambda ns, s: joint_state(ns, BOTH, both_at(s + 0.04)), ()),
    "one trajectory": (TRAJECTORY, lambda ns, s: cdr(TRAJECTORY, trajectory(ns, BOTH, [(0.1, both_at(s + 0.1), [])])), ()),
    "an array with a gripper in it": (ARRAY, lambda ns, s: array([0.7, *both_at(s + 0.04)]), ("", *BOTH)),
}


@pytest.mark.parametrize("form", TO_BOTH)
def test_one_topic_can_command_several_controllers(tmp_path, form):
    kind, make, joints = TO_BOTH[form]
    sent = [("/teleop", kind, START_NS + ms * MS + MS, make(START_NS + ms * MS, START_NS / 1e9 + ms / 1e3)) for ms in range(0, 5000, 20)]
    folder = write(tmp_path / "bag", both_arms_move() + sent)
    mapping = BagMapping(commands=tuple(CommandTopic(topic="/teleop", controller=c.name, joints=joints) for c in (LEFT, RIGHT)))
    _, _, found = resampled(folder, mapping)
    assert not {LEFT.name, RIGHT.name} & set(found.uncommanded)
    (piece,) = found.pieces
    for place in (ELBOW, LEFT_ELBOW):
        ahead = piece.targets[:, place] - piece.joints[:, place]
        assert ahead.min() > -0.005
        assert 0.005 < ahead.max() < 0.05


NAN_BESIDE = {
    "of an array": (ARRAY, lambda ns, s: array([*arm_at(s + 0.04), np.nan]), (*RIGHT.joints, "")),
    "of a joint state": (JOINT_STATE, lambda ns, s: joint_state(ns, [*RIGHT.joints, "finger"], [*arm_at(s + 0.04), np.nan]), ()),
    "of a trajectory": (
        TRAJECTORY,
        lambda ns, s: cdr(TRAJECTORY, trajectory(ns, [*RIGHT.joints, "finger"], [(0.1, [*arm_at(s + 0.1), np.nan], [])])),
        (),
    ),
}


@pytest.mark.parametrize("form", NAN_BESIDE)
def test_a_number_that_is_not_used_may_be_nan(tmp_path, form):
    kind, make, joints = NAN_BESIDE[form]
    mapping = BagMapping(commands=(CommandTopic(topic="/teleop", controller=RIGHT.name, joints=joints),))
    bag, timeline, found = resampled(record(tmp_path / "bag", make, "/teleop", kind), mapping)
    require_right(found)
    assert not_used(bag, timeline, found) == []


def test_a_mapping_that_names_what_the_embodiment_lacks_is_refused(tmp_path):
    folder = write(tmp_path / "bag", camera_and_joints())
    wrong = {
        r"has no camera 'egp'; it has ego": BagMapping(cameras={"egp": IMAGE}),
        r"has no joint 'r_elbow'": BagMapping(commands=(CommandTopic(topic=JOINTS, controller=RIGHT.name, joints=("r_elbow",)),)),
        r"joints names none of right_arm_controller": BagMapping(
            commands=(CommandTopic(topic=JOINTS, controller=RIGHT.name, joints=LEFT.joints),)
        ),
        r"settings of arm_controller, but 'gr1' has": BagMapping(controllers={"arm_controller": ControllerRules()}),
    }
    for why, mapping in wrong.items():
        with pytest.raises(BagError, match=why):
            resampled(folder, mapping)


@pytest.mark.parametrize(
    "text",
    [
        "/robot:\n  right_arm_controller:\n    ros__parameters:\n      joints: [a]\n      allow_partial_joints_goal: true\n",
        "/**:\n  right_arm_controller:\n    ros__parameters:\n      allow_partial_joints_goal: true\n",
    ],
)
def test_the_rules_of_controllers_in_a_namespace_are_read(tmp_path, text):
    file = tmp_path / "controllers.yaml"
    file.write_text(text)
    assert read_controller_rules(file) == {"right_arm_controller": ControllerRules(allow_partial_joints_goal=True)}


def test_rules_of_a_wrong_type_are_named_with_file_and_key(tmp_path):
    file = tmp_path / "controllers.yaml"
    file.write_text("arm_controller:\n  ros__parameters:\n    joints: [a]\n    interpolation_method: cubic\n")
    with pytest.raises(DialError, match=r"controllers\.yaml.*interpolation_method"):
        read_controller_rules(file)


def arm_bag(tmp_path, change):
    """A bag whose array commands are `change(positions)` of the right ones."""
    return record(tmp_path / "bag", lambda ns, s: array(change(arm_at(s + 0.04))), f"/{RIGHT.name}/commands", ARRAY)


def test_commands_in_degrees_are_refused(tmp_path):
    with pytest.raises(BagError, match=r"r_elbow_pitch.* beyond a full turn.*degrees"):
        resampled(arm_bag(tmp_path, np.degrees))


def test_commands_that_run_the_other_way_are_refused(tmp_path):
    """An elbow with its axis turned round, over so small a way that it is never far from where it was commanded."""
    home = elbow(0)
    messages = camera_and_joints(joints=False)
    for ms in range(0, 5000, 10):
        ns = START_NS + ms * MS
        positions = ROBOT.home_position.copy()
        positions[ELBOW] = home + 0.3 * (elbow(ns / 1e9 - 0.04) - home)
        messages.append((JOINTS, JOINT_STATE, ns + 2 * MS, joint_state(ns, ROBOT.joint_names, positions)))
        positions = ROBOT.home_position.copy()
        positions[ELBOW] = home - 0.1 * (elbow(ns / 1e9) - home)
        messages.append((f"/{RIGHT.name}/commands", ARRAY, ns + MS, array(positions[ROBOT.indices(RIGHT.joints)])))
    with pytest.raises(BagError, match=r"moved otherwise than its commands say \(0 % of their motion agrees"):
        resampled(write(tmp_path / "bag", messages))


def test_commands_beside_the_joints_by_the_same_amount_at_all_times_are_refused(tmp_path):
    with pytest.raises(BagError, match=r"r_elbow_pitch stays 0\.30 rad beside its commands.*zero"):
        resampled(arm_bag(tmp_path, lambda positions: positions + 0.3 * (np.arange(len(positions)) == RIGHT.joints.index("r_elbow_pitch"))))


def test_one_joint_that_moves_otherwise_is_not_hidden_by_another_that_moves_further(tmp_path):
    """Two names of an array exchanged: the elbow swings far as commanded, two wrist joints follow each other's commands."""
    pitch, roll = (ROBOT.joint_names.index(name) for name in ("r_wrist_pitch", "r_wrist_roll"))

    def wanted(time_s):
        positions = ROBOT.home_position.copy()
        positions[ELBOW] = elbow(0) + 0.6 * np.sin(time_s - 1)
        positions[pitch] += 0.15 * np.sin(2 * (time_s - 1))
        positions[roll] += 0.15 * np.cos(3 * (time_s - 1))
        return positions

    messages = camera_and_joints(joints=False)
    for ms in range(0, 5000, 10):
        ns = START_NS + ms * MS
        messages.append((JOINTS, JOINT_STATE, ns + 2 * MS, joint_state(ns, ROBOT.joint_names, wanted(ns / 1e9 - 0.04))))
        sent = array(wanted(ns / 1e9)[ROBOT.indices(RIGHT.joints)])
        messages.append((f"/{RIGHT.name}/commands", ARRAY, ns + MS, sent))
    folder = write(tmp_path / "bag", messages)
    assert resampled(folder)[2].pieces
    exchange = {"r_wrist_pitch": "r_wrist_roll", "r_wrist_roll": "r_wrist_pitch"}
    names = tuple(exchange.get(name, name) for name in RIGHT.joints)
    mapping = BagMapping(commands=(CommandTopic(topic=f"/{RIGHT.name}/commands", controller=RIGHT.name, joints=names),))
    with pytest.raises(BagError, match=r"moved otherwise than its commands say .* of the motion of r_wrist_(pitch|roll) agrees"):
        resampled(folder, mapping)


@pytest.mark.parametrize("pace", [0.5, 2.0])
def test_simulated_time_that_runs_at_another_pace_than_the_recorders_is_followed(tmp_path, pace):
    """A simulator at half or double speed, recorded by the wall clock: 5 s of stamps in 10 or 2.5 s of log times."""
    messages = []

    def add(topic, kind, ns, after_ns, data):
        messages.append((topic, kind, 10**18 + round((ns + after_ns - START_NS) / pace), data))

    for ms in range(0, 5000, 10):
        ns = START_NS + ms * MS
        positions = ROBOT.home_position.copy()
        positions[ELBOW] = elbow(ns / 1e9 - 0.04)
        add(JOINTS, JOINT_STATE, ns, 2 * MS, joint_state(ns, ROBOT.joint_names, positions))
        if ms % 50 == 0:
            add(IMAGE, IMAGE_TYPE, ns, 3 * MS, image_bytes(ns))
        if ms % 20 == 0:
            wanted = positions.copy()
            wanted[ELBOW] = elbow(ns / 1e9 + 0.04)
            add(f"/{RIGHT.name}/commands", ARRAY, ns, MS, array(wanted[ROBOT.indices(RIGHT.joints)]))
    require_right(resampled(write(tmp_path / "bag", messages))[2])


def test_set_points_of_some_joints_are_no_trajectories_that_a_rule_could_reject(tmp_path):
    """Two forward_command_controllers share the arm; the settings are those of the trajectory controller that is in the same file."""
    others = tuple(name for name in RIGHT.joints if name != "r_elbow_pitch")
    messages = camera_and_joints()
    for ms in range(0, 5000, 20):
        ns, time_s = START_NS + ms * MS, (START_NS + ms * MS) / 1e9
        elbow_only, rest = array([elbow(time_s + 0.04)]), array(ROBOT.home_position[ROBOT.indices(others)])
        messages += [("/elbow/commands", ARRAY, ns + MS, elbow_only), ("/arm/commands", ARRAY, ns + MS, rest)]
    mapping = BagMapping(
        commands=(
            CommandTopic(topic="/elbow/commands", controller=RIGHT.name, joints=("r_elbow_pitch",)),
            CommandTopic(topic="/arm/commands", controller=RIGHT.name, joints=others),
        ),
        controllers={RIGHT.name: ControllerRules()},
    )
    bag, timeline, found = resampled(write(tmp_path / "bag", messages), mapping)
    require_right(found)
    assert not_used(bag, timeline, found) == []


def test_commands_of_which_none_can_be_read_are_refused_and_not_replaced_by_measured_positions(tmp_path):
    """Eight numbers for seven joints, as with a gripper that the mapping does not name."""
    folder = arm_bag(tmp_path, lambda positions: [*positions, 0.5])
    with pytest.raises(
        BagError,
        match=rf"{RIGHT.name} was commanded, and not one command could be used: 250 messages of /{RIGHT.name}/commands: "
        r"it has 8 positions for 7 joints.*--mapping FILE.*--actions next",
    ):
        resampled(folder)
    assert resampled(folder, actions="next")[2].pieces
    mapping = BagMapping(commands=(CommandTopic(topic=f"/{RIGHT.name}/commands", controller=RIGHT.name, joints=(*RIGHT.joints, "")),))
    require_right(resampled(folder, mapping)[2])


def test_a_controllers_state_without_its_definition_is_refused_as_the_source_of_actions(tmp_path):
    """As Humble records it in sqlite3."""
    state, topic = "control_msgs/msg/JointTrajectoryControllerState", f"/{RIGHT.name}/controller_state"
    described = [Topic(JOINTS, JOINT_STATE, ""), Topic(IMAGE, IMAGE_TYPE, ""), Topic(topic, state, "")]
    writer = BagWriter(tmp_path / "bag", described, {"embodiment": "gr1"})
    sent = [(topic, state, START_NS + ms * MS, b"\0\1\0\0" + bytes(200)) for ms in range(0, 5000, 20)]
    for name, _, log_ns, data in sorted(camera_and_joints() + sent, key=lambda message: message[2]):
        writer.write(name, log_ns, log_ns, data)
    writer.close()
    with pytest.raises(BagError, match=rf"not one command could be used: 250 messages of {topic}: .*{state}.*--actions next"):
        resampled(tmp_path / "bag")


def test_commands_of_which_some_cannot_be_read_cost_those_alone(tmp_path):
    folder = record(
        tmp_path / "bag",
        lambda ns, s: array([*arm_at(s + 0.04), 0.5][: 8 if ns % (500 * MS) == 0 else 7]),
        f"/{RIGHT.name}/commands",
        ARRAY,
    )
    bag, timeline, found = resampled(folder)
    require_right(found)
    assert [why for why in not_used(bag, timeline, found) if "8 positions for 7 joints" in why]


def test_a_topic_of_joint_states_that_is_mapped_twice_is_refused(tmp_path):
    folder = write(tmp_path / "bag", camera_and_joints())
    mapping = BagMapping(joint_states=(NamedJoints(topic=JOINTS), NamedJoints(topic=JOINTS, prefix="left_")))
    with pytest.raises(BagError, match=rf"mapping: joint_states has several entries for {JOINTS}; .*`rename`"):
        resampled(folder, mapping)
