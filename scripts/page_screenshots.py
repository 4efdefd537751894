"""Screenshots of the operator page from a real run: the images of README and docs/operator.md.

python scripts/page_screenshots.py --out docs/images        (needs Chromium with its driver, and selenium)
"""

import argparse
import socket
import time
from pathlib import Path

from selenium import webdriver

from dial_ros.bringup.graph import graph
from dial_ros.msg import System1Status
from dial_ros.srv import SetInstruction
from dial_ros.tools.client import running
from dial_ros.tools.operate import OperatorShell

SIZES = {"operator_1920": (1920, 1340), "operator_1280": (1280, 2080)}
START_S = 300.0


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the images")
    parser.add_argument("--seed", type=int, default=100_003, help="of the scene")
    parser.add_argument("--seconds", type=float, default=3.0, help="of motion before the first image [s]")
    parser.add_argument("--speed", type=float, default=0.4, help="simulated over wall time, at most")
    parser.add_argument("--sizes", default=",".join(SIZES), help="which images")
    chosen = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = Path("out/page_screenshots")
    nodes = graph(
        "sim", seed=chosen.seed, page=True, page_port=port, record=True, directory=str(logs / "recordings"), real_time_factor=chosen.speed
    )
    with running(nodes, "sim", logs) as started:
        shell = OperatorShell()
        shell.wait_until(lambda: shell.system1 and shell.system1.state == System1Status.STATE_DISARMED, START_S, "System-1")
        options = webdriver.ChromeOptions()
        for flag in ("--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"):
            options.add_argument(flag)
        options.add_argument("--hide-scrollbars")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            browser.get(f"http://127.0.0.1:{port}/")
            time.sleep(6)
            started.check_alive()
            buttons = browser.find_elements("css selector", "button.q-btn--outline")
            text = buttons[0].text if buttons else "put the can on the plate"
            print("instruction:", text, [button.text for button in buttons])
            press(browser, "RECORD")
            time.sleep(3)
            press(browser, "SUCCESS")
            time.sleep(2)
            press(browser, "RECORD")
            shell.command(SetInstruction, "system2/set_instruction", SetInstruction.Request(text=text), 20.0)
            time.sleep(chosen.seconds / chosen.speed)
            for name in chosen.sizes.split(","):
                browser.set_window_size(*SIZES[name])
                browser.execute_script("window.scrollTo(0, 0)")
                time.sleep(3)
                browser.save_screenshot(str(chosen.out / f"{name}.png"))
            print("\n".join(str(entry) for entry in browser.get_log("browser"))[:3000])
        finally:
            browser.quit()
            shell.destroy_node()
    print((logs / "operator.log").read_text()[-3000:])


def press(browser: webdriver.Chrome, label: str) -> None:
    """Clicks a button by its label."""
    next(button for button in browser.find_elements("tag name", "button") if button.text.strip().endswith(label)).click()


if __name__ == "__main__":
    main()
