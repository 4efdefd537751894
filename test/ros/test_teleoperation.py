"""A demonstration by hand: keys in a real headless Chromium move the simulated robot, and the recorder keeps it.

pytest test/ros/test_teleoperation.py
"""

import pytest

from dial_core.bags.reader import Bag
from dial_core.control.motion import to_ns
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_ros.operator.operator_node import free_port

from .conftest import PATIENCE_S, START_S, listens

pytestmark = [pytest.mark.ros, pytest.mark.slow]
ROBOT = load_embodiment("gr1")
HALF_A_SECOND_NS = 500_000_000
RIGHT = slice(9, 12)  # position of the right wrist


@pytest.fixture(scope="module")
def page(browser, nodes, probe, tmp_path_factory):
    """(Browser on the page, probe, folder of the recordings), with the robot up and nobody but the keys to move it."""
    port, folder = free_port("127.0.0.1"), tmp_path_factory.mktemp("recordings")
    nodes.start("mujoco_robot", autostart=True, seed=100_000, real_time_factor=0.5)
    nodes.start("teleoperation", autostart=True, use_sim_time=True)
    nodes.start("recorder", autostart=True, use_sim_time=True, directory=folder)
    nodes.start("operator", port=port)
    probe.until(lambda: listens(port), "the page", START_S)
    browser.get(f"http://127.0.0.1:{port}/")
    yield browser, probe, folder
    if "Traceback" in nodes.log("operator") + nodes.log("teleoperation"):
        pytest.fail(nodes.log("operator") + nodes.log("teleoperation"))


def see(page, *texts: str) -> None:
    """Waits until the page shows all `texts`."""
    browser, probe, _ = page
    probe.until(lambda: all(text in browser.find_element("tag name", "body").text for text in texts), f"the page shows {texts}", PATIENCE_S)


def press(page, label: str) -> None:
    browser, probe, _ = page
    found = probe.until(
        lambda: [each for each in browser.find_elements("tag name", "button") if each.text.strip().endswith(label)], f"a button {label}"
    )
    browser.execute_script("arguments[0].click(); arguments[0].blur()", found[0])


def wrist(probe):
    """Position (3,) [m] of the right wrist, as measured."""
    place = dict(zip(probe.joints.name, probe.joints.position, strict=True))
    return ForwardKinematics(ROBOT).wrist_poses([place[name] for name in ROBOT.joint_names])[RIGHT]


def joints_ns(probe) -> int:
    """Stamp of the newest joint state."""
    return to_ns(probe.joints.header.stamp)


def receive_what_was_sent(probe) -> None:
    """Receives for half a second of the robot's time: nobody has read the probe's messages while the browser was busy."""
    old = joints_ns(probe)
    probe.until(lambda: joints_ns(probe) > old, "a joint state that is new")
    new = joints_ns(probe)
    probe.until(lambda: joints_ns(probe) > new + HALF_A_SECOND_NS, "half a second of the robot's time")


def hold(page, key: str, until, what: str) -> None:
    """Holds a key down until something has happened."""
    from selenium.webdriver import ActionChains

    browser, probe, _ = page
    ActionChains(browser).key_down(key).perform()
    try:
        probe.until(until, what)
    finally:
        ActionChains(browser).key_up(key).perform()


def test_keys_record_a_demonstration_by_hand(page):
    _, probe, folder = page
    see(page, "TELEOPERATION, SIMULATION ONLY", "right hand, standing")
    press(page, "RECORD")
    see(page, "recording episode_000")
    before = wrist(probe)
    hold(page, "r", lambda: wrist(probe)[2] > before[2] + 0.03, "the wrist rises by 3 cm")
    hold(page, "w", lambda: wrist(probe)[0] > before[0] + 0.02, "the wrist goes ahead by 2 cm")
    finger = probe.joints.name.index("R_index_proximal_joint")
    opened = probe.joints.position[finger]
    hold(page, "c", lambda: abs(probe.joints.position[finger] - opened) > 0.8, "the fingers close")
    press(page, "SUCCESS")
    see(page, "✔ success")
    bag = Bag(folder / "episode_000")
    assert bag.facts["outcome"] == "success"
    assert bag.facts["instruction"]  # the scene's own: nobody instructed System-2
    assert bag.counts["/right_arm_controller/joint_trajectory"] > 5
    assert bag.counts["/right_hand_controller/joint_trajectory"] > 5


def test_a_released_key_and_a_stop_leave_the_hand_where_it_is(page):
    browser, probe, _ = page
    sent = len(probe.trajectories)
    hold(page, "f", lambda: len(probe.trajectories) > sent + 3, "trajectories")
    see(page, "right hand, standing")
    browser.find_element("tag name", "body").send_keys("\ue00c")
    see(page, "Stopped: acknowledged by teleoperation after", "■ stopped")
    receive_what_was_sent(probe)
    sent = len(probe.trajectories)
    from selenium.webdriver import ActionChains

    ActionChains(browser).key_down("r").pause(0.5).key_up("r").perform()
    press(page, "RESET STOP")
    see(page, "right hand, standing")
    receive_what_was_sent(probe)
    assert len(probe.trajectories) == sent
    hold(page, "r", lambda: len(probe.trajectories) > sent, "trajectories again")


def test_it_refuses_to_be_active_beside_another_commander_and_without_a_simulated_robot(nodes, probe, page):
    nodes.start("teleoperation", as_name="second", remappings={"__node": "second"}, autostart=True, use_sim_time=True)
    probe.until(lambda: "joint_trajectory" in nodes.log("second") or "refus" in nodes.log("second"), "a refusal", START_S)
    nodes.end("second")
    nodes.end("teleoperation")
    nodes.end("mujoco_robot")
    nodes.start("teleoperation", as_name="alone", autostart=True)
    probe.until(lambda: "for the simulation only" in nodes.log("alone"), "a refusal", START_S)
