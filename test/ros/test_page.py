"""The operator page in a real headless Chromium, against the real nodes in simulation.

pytest test/ros/test_page.py        (needs Chromium with its driver, `apt-get install chromium chromium-driver`, and `pip install selenium`)
"""

import time
from collections import deque

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory

from dial_core.checkpoint.location import DEFAULT_CHECKPOINT, checkpoint_folder
from dial_core.control.latencies import LONGEST_LEAD_S
from dial_core.control.motion import to_ns
from dial_core.control.splice_timing import LONGEST_PREPARATION_S
from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos
from dial_ros.operator.operator_node import free_port
from dial_ros.operator.pause_buttons import PAUSE_HOLDS_S
from dial_ros.srv import ResetWorld

from .conftest import PATIENCE_S, START_S, listens

exceptions = pytest.importorskip("selenium.common.exceptions", reason="selenium is not installed")

pytestmark = [pytest.mark.ros, pytest.mark.slow]
TEXT = "put the can on the plate"
FASTER_RAD_PER_S = 0.01


@pytest.fixture(scope="module")
def page(browser, nodes, probe, tmp_path_factory):
    """(Browser on the page, probe, file of the action log), with the robot up. The policy is the trained one: its motions last for seconds,
    a random one's a moment, and then a key finds the robot at rest."""
    checkpoint = checkpoint_folder(DEFAULT_CHECKPOINT)
    port = free_port("127.0.0.1")
    log = tmp_path_factory.mktemp("page") / "actions.jsonl"
    nodes.start("mujoco_robot", autostart=True, seed=100_000, real_time_factor=0.5)
    nodes.start("system2", autostart=True, use_sim_time=True, checkpoint=checkpoint, foresight_image=True)
    nodes.start("system1", autostart=True, use_sim_time=True, checkpoint=checkpoint)
    nodes.start("recorder", autostart=True, use_sim_time=True, directory=tmp_path_factory.mktemp("recordings"))
    nodes.start("operator", port=port, checkpoint=checkpoint, action_log=log)
    probe.set_points, probe.moved_s, probe.history = None, 0.0, deque(maxlen=600)
    probe.create_subscription(JointTrajectory, "mujoco_robot/set_points", lambda message: note_set_points(probe, message), qos.EVENTS)

    def active():
        status = probe.system1, probe.system2
        return all(status) and status[0].state != System1Status.STATE_INACTIVE and status[1].state != System2Status.STATE_INACTIVE

    probe.until(active, "all nodes active", START_S)

    probe.until(lambda: listens(port), "the page", START_S)
    browser.get(f"http://127.0.0.1:{port}/")
    yield browser, probe, log
    if "Traceback" in nodes.log("operator"):
        pytest.fail(nodes.log("operator"))


def note_set_points(probe, message: JointTrajectory) -> None:
    """Keeps the newest set-points (J,) [rad], and the wall time [s] at which they last changed."""
    point = message.points[-1]
    positions = np.array(point.positions)
    if probe.set_points is None or not np.array_equal(positions, probe.set_points):
        probe.moved_s = time.time()
    probe.set_points = positions
    probe.history.append((time.time(), (to_ns(message.header.stamp) + to_ns(point.time_from_start)) * 1e-9, positions))


def moving(history) -> tuple[np.ndarray, np.ndarray]:
    """Robot's times (T,) [s] of set-points, and whether any had changed since the one before (T,)."""
    _, times, positions = (np.array(values) for values in zip(*history, strict=True))
    return times[1:], (np.diff(positions, axis=0) != 0).any(axis=1)


def last_speed_up(history) -> tuple[float, float]:
    """Wall and robot's time [s] at which a set-point last became faster."""
    walls, times, positions = (np.array(values) for values in zip(*history, strict=True))
    speeds = np.abs(np.diff(positions, axis=0)) / np.diff(times)[:, None]
    faster = (np.diff(speeds, axis=0) > FASTER_RAD_PER_S).any(axis=1)
    return float(walls[2:][faster][-1]), float(times[2:][faster][-1])


def press(page, label: str) -> None:
    """Clicks a button by its label."""
    browser, probe, _ = page

    def clicked() -> bool:
        try:
            buttons = browser.find_elements("tag name", "button")
            found = [each for each in buttons if each.text.strip().endswith(label) and each.is_enabled()]
            if found:
                browser.execute_script("arguments[0].click()", found[0])  # it may be below the fold
        except exceptions.StaleElementReferenceException:
            return False
        return bool(found)

    probe.until(clicked, f"a button {label}")


def run_and_move(page) -> None:
    """Resets a stop and the world, so that the whole task lies ahead, instructs, and waits until the set-points move."""
    _, probe, _ = page
    if probe.system1.state == System1Status.STATE_STOPPED:
        press(page, "RESET STOP")
        probe.until(lambda: probe.system1.state == System1Status.STATE_DISARMED, "disarmed")
    before_s = probe.joints.header.stamp.sec
    probe.until(lambda: probe.joints.header.stamp.sec > max(before_s, 1), "a clock that can jump back")
    assert probe.call(ResetWorld, "mujoco_robot/reset", ResetWorld.Request(seed=100_000, target=-1)).success
    probe.until(lambda: probe.system1.state == System1Status.STATE_DISARMED, "disarmed by the reset")
    probe.until(lambda: probe.system2.state == System2Status.STATE_IDLE, "System-2 without an instruction")
    probe.history.clear()
    began_s = time.time()
    instruct(page)
    probe.until(lambda: probe.system1.state == System1Status.STATE_RUNNING, "System-1 runs")
    probe.until(lambda: probe.moved_s > began_s, "the set-points move")


def shown(browser) -> str:
    """The text of the page; empty while it loads itself anew, as a page does whose server was out of reach for seconds."""
    try:
        return browser.find_element("tag name", "body").text
    except exceptions.StaleElementReferenceException:
        return ""


def see(page, *texts: str) -> None:
    """Waits until the page shows all `texts`."""
    browser, probe, _ = page
    probe.until(lambda: all(text in shown(browser) for text in texts), f"the page shows {texts}", PATIENCE_S)


def instruct(page) -> None:
    browser, _, _ = page
    see(page, "System-1")  # built: until then elements are replaced
    box = browser.find_element("css selector", 'input[placeholder="what the robot is to do"]')
    box.send_keys("\ue009a\ue000\ue003")  # Ctrl-A, Backspace
    box.send_keys(TEXT)
    box.send_keys("\ue007")
    see(page, f"“{TEXT}”: accepted")


def test_what_the_robot_sees_and_how_it_stands_is_on_the_page(page):
    see(page, "System-1", "System-2", "camera", "joint states")
    browser, probe, _ = page
    probe.until(lambda: browser.find_elements("css selector", 'img[alt="camera"]'), "the camera's image")


def test_an_instruction_arms_the_robot_and_its_foresight_is_shown(page):
    instruct(page)
    browser, probe, _ = page
    probe.until(lambda: probe.system1.state == System1Status.STATE_RUNNING, "System-1 runs")
    probe.until(lambda: browser.find_elements("css selector", 'img[alt="foresight"]'), "the foresight's image")
    see(page, "System-1 ", " ms")


def test_unknown_words_are_named_before_sending(page):
    browser, _, _ = page
    see(page, "System-1")  # built: until then elements are replaced
    box = browser.find_element("css selector", 'input[placeholder="what the robot is to do"]')
    box.send_keys("\ue009a\ue000\ue003zorgle")
    see(page, "not in the model's vocabulary: zorgle")


def test_escape_stops_the_robot_at_the_controllers_even_inside_the_box(page):
    instruct(page)
    browser, probe, log = page
    probe.until(lambda: probe.system1.state == System1Status.STATE_RUNNING, "System-1 runs")
    pressed_s = time.monotonic()
    browser.find_element("css selector", 'input[placeholder="what the robot is to do"]').send_keys("\ue00c")
    probe.until(lambda: probe.system1.state == System1Status.STATE_STOPPED, "System-1 stopped")
    print(f"from the key to System-1's own report: {time.monotonic() - pressed_s:.2f} s")
    see(page, "Stopped: acknowledged by System-1 after")
    assert '"emergency stop", "granted": true' in log.read_text()

    probe.until(lambda: time.time() - probe.moved_s > 0.5, "the controllers' set-points stand still")


def test_from_the_stop_on_the_set_points_only_decelerate_until_they_stand(page):
    """In the robot's time, from the stop that a key in the browser caused to the last moment at which any set-point became faster: at most
    the longest lead of a stop, and its preparation; a chunk that merely ran out would take longer. The wall time from the key, as the
    browser dates it, depends on the machine: printed.
    """
    browser, probe, _ = page
    for _ in range(15):
        run_and_move(page)
        browser.find_element("tag name", "body").send_keys("\ue00c")
        probe.until(lambda: probe.system1.state == System1Status.STATE_STOPPED, "System-1 stopped")
        stopped_s = to_ns(probe.system1.last_change) * 1e-9
        probe.until(lambda: time.time() - probe.moved_s > 0.5, "the set-points stand still")
        times_s, moved = moving(probe.history)
        if (moved & (times_s > stopped_s)).any():
            break  # else at rest before the stop, as after late inputs: nothing to see
    else:
        pytest.fail("the robot was at rest at every stop")
    wall_s, faster_s = last_speed_up(probe.history)
    key_s = browser.execute_script("return window.dialStopKeyAt") / 1000
    print(f"the last speed-up {faster_s - stopped_s:.3f} s after the stop, {wall_s - key_s:.3f} s of wall time after the key")
    assert faster_s - stopped_s <= LONGEST_LEAD_S + LONGEST_PREPARATION_S


def test_while_stopped_the_page_says_that_nothing_will_move_before_and_after_an_instruction(page):
    browser, probe, _ = page
    probe.until(lambda: probe.system1.state == System1Status.STATE_STOPPED, "stopped")
    before = probe.set_points
    see(page, "Nothing will move: the emergency stop is latched. Press “Reset stop”, then send an instruction")
    instruct(page)
    message = browser.find_element("css selector", ".note.w-full").text
    assert "Nothing will move: the emergency stop is latched" in message
    np.testing.assert_array_equal(before, probe.set_points)


def test_after_a_reload_the_page_shows_the_stop_and_the_robot_has_not_moved(page):
    browser, probe, _ = page
    before = probe.set_points
    browser.refresh()
    see(page, "stopped: emergency stop")
    np.testing.assert_array_equal(before, probe.set_points)


def test_only_a_reset_and_a_new_instruction_move_it_again(page):
    _, probe, _ = page
    press(page, "RESET STOP")
    probe.until(lambda: probe.system1.state == System1Status.STATE_DISARMED, "disarmed")
    instruct(page)
    probe.until(lambda: probe.system1.state == System1Status.STATE_RUNNING, "System-1 runs again")


def test_a_reload_in_mid_motion_changes_nothing_about_the_robot(page):
    browser, probe, _ = page
    run_and_move(page)
    chunks = probe.system1.published_chunks
    browser.refresh()
    see(page, "running", "Latency of the last chunk".upper())
    probe.until(lambda: probe.system1.published_chunks > chunks + 3, "chunks to continue")
    assert probe.system1.state == System1Status.STATE_RUNNING
    assert probe.system1.instruction == TEXT


def test_what_the_foresight_was_worth_and_what_the_chunk_uses_are_shown(page):
    see(page, "foresight error", "expecting no change", "velocity", "acceleration")
    browser, probe, _ = page
    probe.until(lambda: browser.find_elements("css selector", "[title*='of its velocity limit']"), "shares by joint")
    assert len(browser.find_elements("css selector", "[title*='of its velocity limit']")) == len(probe.set_points)


def test_an_episode_is_recorded_judged_and_listed_with_its_image(page):
    browser, probe, _ = page
    run_and_move(page)
    see(page, "ready")
    press(page, "RECORD")
    see(page, "recording episode_000")
    press(page, "SUCCESS")
    see(page, "✔ success", "episode_000")
    probe.until(lambda: browser.find_elements("css selector", ".episode img"), "its image")
    press(page, "RECORD")
    see(page, "recording episode_001")
    press(page, "DISCARD")
    see(page, "Discard: discarded")


def test_simulated_time_halts_steps_and_runs(page):
    _, probe, _ = page
    press(page, "HALT TIME")
    halted_s = time.monotonic()
    see(page, "Nothing will move until “Run”: the simulation is paused")
    stamp = probe.joints.header.stamp
    press(page, "STEP 200 MS")
    probe.until(lambda: probe.joints.header.stamp != stamp, "a step")
    stepped_s = to_ns(probe.joints.header.stamp) * 1e-9
    probe.until(lambda: time.monotonic() - halted_s > PAUSE_HOLDS_S, "a Run that is no second click of Halt time")
    press(page, "RUN")
    probe.until(lambda: to_ns(probe.joints.header.stamp) * 1e-9 > stepped_s + 1.0, "time runs, for longer than a step")
    probe.until(lambda: "Nothing will move until “Run”" not in shown(page[0]), "the page shows that it does")


def test_space_stops_the_robot_even_after_a_button_was_clicked(page):
    browser, probe, _ = page
    next(button for button in browser.find_elements("tag name", "button") if button.text == "PAUSE").click()
    probe.until(lambda: probe.system1.state == System1Status.STATE_PAUSED, "paused")
    browser.switch_to.active_element.send_keys(" ")
    probe.until(lambda: probe.system1.state == System1Status.STATE_STOPPED, "System-1 stopped by Space")


def test_a_dead_system_1_is_reported_and_a_stop_that_nobody_acknowledges_is_shouted(page, nodes):
    browser, _, _ = page
    nodes.end("system1", 9)
    see(page, "no report: it has not started, has ended, or cannot be reached")
    browser.find_element("tag name", "body").send_keys("\ue00c")
    see(page, "NOT ACKNOWLEDGED", "Use the robot's own emergency stop")
