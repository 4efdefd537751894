"""The operator page in a real headless Chromium, against the real nodes in simulation.

pytest test/ros/test_page.py        (needs Chromium with its driver, `apt-get install chromium chromium-driver`, and `pip install selenium`)
"""

import shutil
import socket
import time

import numpy as np
import pytest
from sensor_msgs.msg import JointState

from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos

from .conftest import PATIENCE_S, START_S

pytestmark = [pytest.mark.ros, pytest.mark.slow]
TEXT = "put the can on the plate"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-quic"):
        options.add_argument(flag)
    options.add_argument("--window-size=1280,1000")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(browser, nodes, probe, checkpoint, tmp_path_factory):
    """(Browser on the page, probe, file of the action log), with the robot up."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("page") / "actions.jsonl"
    nodes.start("mujoco_robot", autostart=True, seed=100_000, real_time_factor=0.5)
    nodes.start("system2", autostart=True, use_sim_time=True, checkpoint=checkpoint, foresight_image=True)
    nodes.start("system1", autostart=True, use_sim_time=True, checkpoint=checkpoint)
    nodes.start("operator", port=port, checkpoint=checkpoint, action_log=log)
    probe.set_points = None
    probe.keep(JointState, "mujoco_robot/set_points", "set_points", qos.SENSOR)

    def active():
        status = probe.system1, probe.system2
        return all(status) and status[0].state != System1Status.STATE_INACTIVE and status[1].state != System2Status.STATE_INACTIVE

    probe.until(active, "all nodes active", START_S)

    def answers():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
        except OSError:
            return False
        return True

    probe.until(answers, "the page", START_S)
    browser.get(f"http://127.0.0.1:{port}/")
    yield browser, probe, log
    if "Traceback" in nodes.log("operator"):
        pytest.fail(nodes.log("operator"))


def shown(browser) -> str:
    return browser.find_element("tag name", "body").text


def see(page, *texts: str) -> None:
    """Waits until the page shows all `texts`."""
    browser, probe, _ = page
    probe.until(lambda: all(text in shown(browser) for text in texts), f"the page shows {texts}", PATIENCE_S)


def instruct(page) -> None:
    browser, _, _ = page
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

    def standing():
        before = np.array(probe.set_points.position)
        end_s = time.monotonic() + 0.5
        while time.monotonic() < end_s:
            probe.spin_once()
        return np.array_equal(before, np.array(probe.set_points.position))

    probe.until(standing, "the controllers' set-points stand still")


def test_after_a_reload_the_page_tells_the_same_and_the_robot_has_not_moved(page):
    browser, probe, _ = page
    before = np.array(probe.set_points.position)
    browser.refresh()
    see(page, "stopped: emergency stop")
    np.testing.assert_array_equal(before, np.array(probe.set_points.position))


def test_only_a_reset_and_a_new_instruction_move_it_again(page):
    browser, probe, _ = page
    next(button for button in browser.find_elements("tag name", "button") if button.text == "RESET STOP").click()
    probe.until(lambda: probe.system1.state == System1Status.STATE_DISARMED, "disarmed")
    instruct(page)
    probe.until(lambda: probe.system1.state == System1Status.STATE_RUNNING, "System-1 runs again")


def test_space_stops_the_robot_even_after_a_button_was_clicked(page):
    browser, probe, _ = page
    next(button for button in browser.find_elements("tag name", "button") if button.text == "PAUSE").click()
    probe.until(lambda: probe.system1.state == System1Status.STATE_PAUSED, "paused")
    browser.switch_to.active_element.send_keys(" ")
    probe.until(lambda: probe.system1.state == System1Status.STATE_STOPPED, "System-1 stopped by Space")


def test_a_dead_system_1_is_told_and_a_stop_that_nobody_acknowledges_is_shouted(page, nodes):
    browser, _, _ = page
    nodes.end("system1", 9)
    see(page, "no report: it has not started, has ended, or is not reachable")
    browser.find_element("tag name", "body").send_keys("\ue00c")
    see(page, "NOT ACKNOWLEDGED", "Use the robot's own emergency stop")
