"""A recorded bag in the operator page, in a real headless Chromium: scrub, and every chunk against what happened.

pytest test/ros/test_playback_page.py
"""

import os
import subprocess
import sys
import time

import pytest

from dial_core.bags.synthetic import record
from dial_ros.operator.operator_node import free_port

from .conftest import PATIENCE_S, START_S, listens

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """Browser on the page of a bag of 4 s."""
    bag, port = record(tmp_path_factory.mktemp("bag") / "episode", 4.0), free_port("127.0.0.1")
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}  # the page's library reads it
    process = subprocess.Popen([sys.executable, "-m", "dial_ros.operator.playback", str(bag), "--port", str(port)], env=environment)
    wait(lambda: listens(port), START_S)
    browser.get(f"http://127.0.0.1:{port}/")
    yield browser
    process.terminate()
    process.wait(PATIENCE_S)


def wait(condition, limit_s: float = PATIENCE_S):
    """The first true value of `condition()`."""
    deadline_s = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return found


def see(page, *texts: str) -> None:
    wait(lambda: all(text in page.find_element("tag name", "body").text for text in texts))


def press(page, label: str) -> None:
    found = wait(lambda: [each for each in page.find_elements("tag name", "button") if each.text.strip() == label])
    page.execute_script("arguments[0].click()", found[0])


def test_the_bag_is_shown_with_its_facts_and_nothing_to_act_with(page):
    see(page, "PLAYBACK: NOTHING HERE MOVES A ROBOT", "“put the can on the plate”", "success", "0.00 / 3.99 s")
    assert wait(lambda: page.find_elements("css selector", 'img[alt="camera"]'))
    labels = {button.text for button in page.find_elements("tag name", "button")}
    assert not labels & {"STOP", "SEND", "RECORD", "RESET"}


def test_chunks_are_stepped_through_and_judged_by_what_followed(page):
    for _ in range(3):
        press(page, "NEXT CHUNK")
    see(page, "chunk against what happened:", "r_elbow_pitch")
    press(page, "CHUNK BEFORE")
    see(page, "0.10 / 3.99 s")


def test_it_plays_and_pauses(page):
    press(page, "PLAY")
    see(page, "PAUSE")
    wait(lambda: "0.10 / 3.99 s" not in page.find_element("tag name", "body").text)
    press(page, "PAUSE")
    wait(lambda: "PLAY" in [button.text.strip() for button in page.find_elements("tag name", "button")])
