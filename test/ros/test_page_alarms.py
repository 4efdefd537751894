"""What the browser itself does about a stop and about a page that is gone, in a real headless Chromium, with the page's own node alone.

pytest test/ros/test_page_alarms.py        (Chromium and selenium as for test_page.py)
"""

import signal

import pytest
from geometry_msgs.msg import Twist
from std_srvs.srv import Trigger

from dial_ros.node import qos
from dial_ros.operator.jog_keys import SPEED_M_PER_S
from dial_ros.operator.operator_node import free_port
from dial_ros.srv import ResetWorld

from .conftest import START_S, listens

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

pytestmark = [pytest.mark.ros, pytest.mark.slow]
ESCAPE = "\ue00c"
MENUS = ('input[aria-label="object"]', ".q-select:has(.q-chip) .q-select__focus-target")  # of the scene's objects, and of joints
UNCONFIRMED = "STOP NOT CONFIRMED: use the robot's own emergency stop"


class Page:
    """The page in a browser, and who answers its stops."""

    def __init__(self, browser, probe, nodes) -> None:
        self.browser, self.probe, self.nodes, self.port = browser, probe, nodes, free_port("127.0.0.1")
        self.stops = 0
        self.system1 = probe.create_service(Trigger, "system1/estop", self._on_stop)
        probe.create_service(ResetWorld, "mujoco_robot/reset", lambda _, response: response)  # with it there is a menu of objects

    def _on_stop(self, _, response: Trigger.Response) -> Trigger.Response:
        self.stops += 1
        response.success, response.message = True, "stopped; latched"
        return response

    def start(self) -> None:
        """Starts the page's node, on the same port each time."""
        self.nodes.start("operator", port=self.port)
        self.probe.until(lambda: listens(self.port), "the page", START_S)

    def shown(self, text: str) -> bool:
        script = "return document.body.innerText.includes(arguments[0])"
        return bool(self.browser.execute_script(script, text))

    def see(self, text: str, gone: bool = False) -> None:
        self.probe.until(lambda: self.shown(text) != gone, f"the page {'no longer ' if gone else ''}shows “{text}”")

    def press(self, keys: str) -> None:
        webdriver.ActionChains(self.browser).send_keys(keys).perform()

    def focus(self, selector: str) -> str:
        """Puts the keyboard's focus on an element; its tag."""
        found = self.probe.until(lambda: self.browser.find_elements("css selector", selector), selector)[0]
        self.browser.execute_script("arguments[0].focus()", found)
        return self.browser.switch_to.active_element.tag_name

    def since_key_ms(self) -> float:
        return self.browser.execute_script("return Date.now() - window.dialStopKeyAt")


@pytest.fixture(scope="module")
def page(browser, nodes, probe):
    shown = Page(browser, probe, nodes)
    shown.start()
    browser.get(f"http://127.0.0.1:{shown.port}/")
    shown.see("SIMULATION")
    probe.until(lambda: not shown.shown("no data for"), "updates")
    return shown


@pytest.mark.parametrize("menu", MENUS)
def test_space_stops_after_a_menu_without_typing_was_used(page, menu):
    before = page.stops
    assert page.focus(menu) == "input", "as Quasar builds it: an INPUT in which nothing can be typed"
    page.press(" ")
    page.probe.until(lambda: page.stops == before + 1, "a stop")
    page.see("Stopped: acknowledged by System-1")


def test_space_within_a_text_is_a_space(page):
    before = page.stops
    page.focus('input[placeholder="what the robot is to do"]')
    page.press("a b")
    page.probe.until(lambda: page.browser.switch_to.active_element.get_attribute("value") == "a b", "the text")
    assert page.stops == before


def test_a_stop_that_is_acknowledged_leaves_no_alarm(page):
    before = page.stops
    page.press(ESCAPE)
    page.probe.until(lambda: page.stops == before + 1, "a stop")
    page.see("Stopped: acknowledged by System-1")
    page.probe.until(lambda: page.since_key_ms() > 1000, "the time after which the browser raises an alarm")
    page.see(UNCONFIRMED, gone=True)


def test_a_page_that_does_not_answer_is_grey_and_a_stop_on_it_is_shouted_until_one_is_acknowledged(page):
    page.nodes.send("operator", signal.SIGSTOP)
    try:
        page.press(ESCAPE)
        page.see(UNCONFIRMED)
        print(f"shouted within {page.since_key_ms():.0f} ms of the key")
        page.see("no data for")
        assert "stale" in page.browser.find_element("tag name", "body").get_attribute("class")
    finally:
        page.nodes.send("operator", signal.SIGCONT)
    page.see("no data for", gone=True)
    before = page.stops
    page.press(ESCAPE)
    page.probe.until(lambda: page.stops > before, "a stop")
    page.see(UNCONFIRMED, gone=True)
    page.see("Stopped: acknowledged by System-1")


def test_an_alarm_over_a_dead_page_outlives_the_reload_that_follows_its_restart(page):
    page.nodes.end("operator", signal.SIGKILL)
    page.browser.find_element("css selector", "button.stop").click()  # nothing covers it
    page.see(UNCONFIRMED)
    page.browser.execute_script("window.before = true")
    page.start()
    page.probe.until(lambda: not page.browser.execute_script("return window.before"), "the page reloads itself")
    page.see("SIMULATION")
    page.see(UNCONFIRMED)
    page.press(ESCAPE)
    page.see("Stopped: acknowledged by System-1")
    page.see(UNCONFIRMED, gone=True)


def test_a_key_moves_the_hand_after_a_menu_without_typing_was_used(page):
    hands = []
    page.probe.create_subscription(Twist, "teleoperation/twist", lambda message: hands.append(message.linear.x), qos.LATEST)
    page.probe.destroy_service(page.system1)
    page.probe.create_service(Trigger, "teleoperation/stop", lambda _, response: response)
    page.see("TELEOPERATION, SIMULATION ONLY")
    page.focus(MENUS[0])
    webdriver.ActionChains(page.browser).key_down("w").perform()
    page.probe.until(lambda: SPEED_M_PER_S in hands, "a velocity of the hand")
    webdriver.ActionChains(page.browser).key_up("w").perform()
    assert not page.browser.find_elements("css selector", ".q-menu"), "the key was not the menu's too"
