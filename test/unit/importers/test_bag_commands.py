"""Commands are judged by what the robot did: the action's elbow runs from home to its end, ahead of the state."""

import numpy as np
import pytest
from rosbags.typesys import get_types_from_msg

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import CONTROLLER, ELBOW, MS, ROBOT, STORE, TYPES, cdr, elbow, header
from dial_core.config import config_root
from dial_core.control.joint_trajectory_controller import ControllerRules
from dial_core.errors import DialError
from dial_core.importers.bag.bag_report import not_used, remarks_on
from dial_core.importers.bag.mapping import BagMapping, CommandTopic, load_bag_mapping, read_controller_rules
from dial_core.importers.bag.resampling import Resampling, resample
from dial_core.importers.bag.timeline import read_timeline
from dial_core.importers.bag.topic_streams import find_streams
from dial_core.importers.command_agreement import EXPLAINED, explained

from .recordings import ARRAY, JOINT_STATE, START_NS, TRAJECTORY, arm_at, camera_and_joints, trajectory, write

NAME, JOINTS = CONTROLLER.name, CONTROLLER.joints
PLACE = JOINTS.index("r_elbow_pitch")
TOPIC = f"/{NAME}/joint_trajectory"


def record(folder, make, topic=TOPIC, kind=TRAJECTORY, period_ms=20, definitions=None):
    """A bag whose commands are `make(stamp [ns], time [s])`."""
    commands = []
    for ms in range(0, 5000, period_ms):
        stamp_ns = START_NS + ms * MS
        commands.append((topic, kind, stamp_ns + MS, make(stamp_ns, stamp_ns / 1e9)))
    return write(folder, camera_and_joints() + commands, definitions)


def resampled(folder, mapping=None, **settings):
    bag, mapping = Bag(folder), mapping or BagMapping()
    timeline = read_timeline(bag, find_streams(bag, ROBOT, ROBOT.cameras, mapping), ROBOT)
    return bag, timeline, resample(timeline, ROBOT, Resampling(**settings), mapping.controllers)


def require_right(found):
    """The action leads the state and reaches home + 0.5 rad."""
    (piece,) = found.pieces
    states, actions = piece.joints[:, ELBOW], piece.targets[:, ELBOW]
    assert actions.min() == pytest.approx(elbow(0), abs=0.03)
    assert actions.max() == pytest.approx(elbow(9), abs=0.005)
    ahead = actions - states
    assert ahead.min() > -0.005
    assert 0.01 < ahead.max() < 0.05


def point(time_s, ahead_s=0.1, velocity=()):
    return [(ahead_s, arm_at(time_s + ahead_s), velocity)]


def moving(time_s):
    speed = np.zeros(len(JOINTS))
    speed[PLACE] = 0.25 if 1.0 < time_s < 3.0 else 0.0
    return speed


FORMS = {
    "stamp zero": lambda ns, s: cdr(TRAJECTORY, trajectory(0, JOINTS, point(s, 0.02))),
    "moving last point": lambda ns, s: cdr(TRAJECTORY, trajectory(ns, JOINTS, point(s, 0.1, moving(s + 0.1)))),
    "one joint": lambda ns, s: cdr(TRAJECTORY, trajectory(ns, ["r_elbow_pitch"], [(0.1, [elbow(s + 0.1)], [])])),
    "names reversed": lambda ns, s: cdr(TRAJECTORY, trajectory(ns, JOINTS[::-1], [(0.1, arm_at(s + 0.1)[::-1].copy(), [])])),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_trajectory_of_any_form_gives_the_action_that_the_robot_followed(tmp_path, form):
    require_right(resampled(record(tmp_path / "bag", FORMS[form]))[2])


def test_settings_that_were_found_by_the_motion_are_reported(tmp_path):
    bag, timeline, found = resampled(record(tmp_path / "bag", FORMS["moving last point"]))
    assert f"{NAME} moved as commanded although its default settings reject that" in remarks_on(timeline, found)[0]
    assert not_used(bag, timeline, found) == []


def test_named_settings_are_kept_to_and_a_contradiction_is_refused_with_what_to_do(tmp_path):
    folder = record(tmp_path / "bag", FORMS["moving last point"])
    require_right(resampled(folder, BagMapping(controllers={NAME: ControllerRules(allow_nonzero_velocity_at_trajectory_end=True)}))[2])
    with pytest.raises(BagError, match=r"moved otherwise .* velocity of the last trajectory point is not zero .*--controllers"):
        resampled(folder, BagMapping(controllers={NAME: ControllerRules()}))


def test_commands_of_another_motion_are_refused_and_states_can_be_taken_instead(tmp_path):
    folder = record(tmp_path / "bag", lambda ns, s: cdr(TRAJECTORY, trajectory(ns, JOINTS, [(0.1, arm_at(0.0), [])])))
    with pytest.raises(BagError, match=r"moved otherwise than its commands say \(0 %.*--actions next"):
        resampled(folder)
    assert resampled(folder, actions="next")[2].pieces


def test_single_rejected_commands_are_counted_by_reason(tmp_path):
    def make(ns, s):
        late = ns // MS % 1000 == 500
        return cdr(TRAJECTORY, trajectory(ns - (10**9 if late else 0), JOINTS, point(s)))

    bag, timeline, found = resampled(record(tmp_path / "bag", make))
    require_right(found)
    assert not_used(bag, timeline, found) == [f"{NAME} rejects 5 of 250 commands: its last point lies in the past"]


def test_arrays_of_a_forward_command_controller_are_set_points(tmp_path):
    def array(positions):
        return cdr(ARRAY, TYPES[ARRAY](TYPES["std_msgs/msg/MultiArrayLayout"]([], 0), np.asarray(positions, float)))

    require_right(resampled(record(tmp_path / "bag", lambda ns, s: array(arm_at(s + 0.04)), f"/{NAME}/commands", ARRAY))[2])
    folder = record(tmp_path / "mapped", lambda ns, s: array(arm_at(s + 0.04)[::-1].copy()), "/arm_command", ARRAY)
    mapping = BagMapping(commands=(CommandTopic(topic="/arm_command", controller=NAME, joints=JOINTS[::-1]),))
    require_right(resampled(folder, mapping)[2])
    with pytest.raises(BagError, match="has no controller 'arm'"):
        resampled(folder, BagMapping(commands=(CommandTopic(topic="/arm_command", controller="arm"),)))


def test_joint_states_can_be_commands_with_names_of_their_own(tmp_path):
    def make(ns, s):
        names = [f"gello/{name}" for name in JOINTS]
        return cdr(JOINT_STATE, TYPES[JOINT_STATE](header(ns), names, arm_at(s + 0.04), np.empty(0), np.empty(0)))

    folder = record(tmp_path / "bag", make, "/gello/joint_states", JOINT_STATE)
    mapping = BagMapping(commands=(CommandTopic(topic="/gello/joint_states", controller=NAME, prefix="gello/"),))
    with pytest.raises(BagError, match="several topics could be joint_states"):
        # Which of the two is the robot's is not guessed where neither stands at the root.
        find_streams(Bag(write(tmp_path / "two", [(f"/a{t}", *rest) for t, *rest in camera_and_joints()] + [
            (f"/b{t}", *rest) for t, *rest in camera_and_joints(camera=False)])), ROBOT, ROBOT.cameras)  # fmt: skip
    require_right(resampled(folder, mapping)[2])


ACTION = "control_msgs/action/FollowJointTrajectory"
GOAL = f"{ACTION}_SendGoal_Event"
GOAL_PARTS = {
    f"{ACTION}_Goal": "trajectory_msgs/JointTrajectory trajectory\nbuiltin_interfaces/Duration goal_time_tolerance\n",
    f"{ACTION}_SendGoal_Request": f"uint8[16] goal_id\n{ACTION}_Goal goal\n",
    GOAL: f"uint8 event_type\n{ACTION}_SendGoal_Request[] request\n",
}
SEPARATOR = "\n" + "=" * 80 + "\nMSG: "


def test_goals_of_follow_joint_trajectory_are_commands(tmp_path):
    store = STORE
    for kind, definition in GOAL_PARTS.items():
        if kind.replace("/action/", "/msg/") not in store.fielddefs:
            store.register(get_types_from_msg(definition.replace("/action/", "/msg/"), kind.replace("/action/", "/msg/")))
    goal, request, event = (store.types[kind.replace("/action/", "/msg/")] for kind in GOAL_PARTS)
    parts = {kind: text for kind, text in GOAL_PARTS.items() if kind != GOAL}
    parts["trajectory_msgs/JointTrajectory"] = STORE.generate_msgdef(TRAJECTORY, ros_version=2)[0]
    text = SEPARATOR.join([GOAL_PARTS[GOAL], *(f"{kind}\n{definition}" for kind, definition in parts.items())])

    def make(ns, s):
        duration = TYPES["builtin_interfaces/msg/Duration"](sec=0, nanosec=0)
        asked = request(np.zeros(16, np.uint8), goal(trajectory(ns, JOINTS, point(s)), duration))
        answer = ns // (20 * MS) % 2  # every second event is that of the answer
        return bytes(store.serialize_cdr(event(answer, [] if answer else [asked]), event.__msgtype__))

    topic = f"/{NAME}/follow_joint_trajectory/_action/send_goal/_service_event"
    require_right(resampled(record(tmp_path / "bag", make, topic, GOAL, definitions={GOAL: text}))[2])


def test_the_rules_of_a_controller_manager_are_read(tmp_path):
    file = tmp_path / "controllers.yaml"
    file.write_text(
        "controller_manager:\n  ros__parameters:\n    update_rate: 100\n"
        "/robot/right_arm_controller:\n  ros__parameters:\n    joints: [a]\n    open_loop_control: true\n"
        "    allow_partial_joints_goal: true\n    allow_nonzero_velocity_at_trajectory_end: true\n"
    )
    rules = read_controller_rules(file)
    assert rules == {"right_arm_controller": ControllerRules(allow_partial_joints_goal=True, allow_nonzero_velocity_at_trajectory_end=True)}
    for text, why in (("a: 1\n", "has no controller"), ("a: [", "cannot be read"), ("[]", "has no controller")):
        file.write_text(text)
        with pytest.raises(DialError, match=why):
            read_controller_rules(file)


def test_the_mapping_in_the_documentation_is_understood(tmp_path):
    page = (config_root().parent / "docs/recording.md").read_text()
    file = tmp_path / "mapping.yaml"
    file.write_text(page.split("```yaml\n")[1].split("```")[0])
    mapping = load_bag_mapping(str(file))
    assert mapping.cameras == {"ego": "/camera/color/image_raw"}
    assert [source.name(name) for source, name in zip(mapping.joint_states, ("left_a", "elbow"), strict=True)] == ["a", "r_elbow_pitch"]
    assert mapping.commands[1].prefix == "gello/"
    assert mapping.controllers["right_arm_controller"].allow_partial_joints_goal


def test_a_finger_that_something_pushes_for_a_moment_contradicts_nothing_but_one_that_stays_elsewhere_does():
    """Three seconds of small motions, as of a hand that touches a can: 0.11 rad for 0.15 s are no other command."""
    wanted = 0.02 * np.sin(np.arange(62) / 5)[:, None]
    pushed, elsewhere = wanted.copy(), wanted.copy()
    pushed[30:33] += 0.11
    elsewhere[30:] += 0.11
    assert explained(wanted, pushed, range(13)) == 1.0
    assert explained(wanted, elsewhere, range(13)) < EXPLAINED
