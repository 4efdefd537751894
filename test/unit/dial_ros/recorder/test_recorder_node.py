"""How the recorder ends an episode: by a signal with a backlog, and by a discard that the disk refuses.

pytest test/unit/dial_ros/recorder
"""

import subprocess
import sys
from unittest.mock import Mock

import pytest
from std_srvs.srv import Trigger

from dial_core.bags.reader import Bag
from dial_ros.recorder.recorder_node import RecorderNode

MESSAGES = 20
PROGRAM = """
import sys, threading, time
from pathlib import Path
from unittest.mock import Mock
from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import Topic
from dial_core.bags.spool import Spool
from dial_ros.node import process
from dial_ros.recorder.recorder_node import RecorderNode

process.ANNOUNCED_S, process.rclpy = 0.02, Mock()
writer = BagWriter(Path(sys.argv[1]), [Topic("/camera", "sensor_msgs/msg/Image", "", "", ())])
write, disk = writer.write, threading.Semaphore(0)
writer.write = lambda *message: (disk.acquire(), write(*message))

class Recorder(RecorderNode):
    active = True
    get_logger = lambda self: Mock(**{each: lambda text: print(text, flush=True) for each in ("info", "warning", "error")})
    release = destroy_node = lambda self: None
    def __init__(self): self._spool, self._streams, self._watches = Spool(writer), None, []
    def trigger_deactivate(self): self.deactivate()

recorder = Recorder()
for number in range(int(sys.argv[2])):
    recorder._spool.put("/camera", number, number, bytes(1000))
stop = [time.monotonic()]
spun = []

def spin_once(timeout_sec):
    spun.append(None)
    if sys.argv[3] == "again" and len(spun) == 5:
        stop.append(time.monotonic() + 2.0)
    elif sys.argv[3] == "once" and len(spun) > 5:
        disk.release()
    time.sleep(0.01)

process._complete(recorder, Mock(spin_once=spin_once), stop)
disk.release(1000)
process._end(recorder, Mock())
print("ended", flush=True)
"""


@pytest.fixture
def ended(tmp_path):
    """(once or again: how often Ctrl-C is pressed) -> what the recorder printed, and its bag. Its disk is slow."""

    def play(pressed: str) -> tuple[str, Bag]:
        words = [sys.executable, "-c", PROGRAM, str(tmp_path / "bag"), str(MESSAGES), pressed]
        process = subprocess.run(words, capture_output=True, text=True, timeout=100)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout, Bag(tmp_path / "bag")

    return play


def test_ctrl_c_on_a_recorder_with_a_backlog_completes_the_bag_and_says_so(ended):
    printed, bag = ended("once")
    assert bag.whole
    assert bag.described
    assert bag.counts == {"/camera": MESSAGES}
    assert (bag.facts["outcome"], bag.facts["note"]) == ("unknown", "the recorder was stopped")
    assert "ending after completing" in printed
    assert "Ctrl-C again ends at once" in printed


def test_a_second_ctrl_c_gives_up_the_backlog_and_closes_the_bag(ended):
    printed, bag = ended("again")
    assert bag.whole
    assert int(bag.facts["lost"]) + bag.counts["/camera"] == MESSAGES
    assert bag.counts["/camera"] == 1, "the message that was being written"
    assert "asked to end again; given up" in printed


@pytest.mark.parametrize("refused", [True, False])
def test_a_discard_answers_what_became_of_the_bag(tmp_path, monkeypatch, refused):
    bag = tmp_path / "episode_000"
    bag.mkdir()
    (bag / "episode_000_0.mcap").touch()
    recorder = Mock(_spool=None, _newest=bag)
    if refused:
        monkeypatch.setattr("os.unlink", Mock(side_effect=PermissionError(13, "Permission denied")))
    answer = RecorderNode._on_discard(recorder, None, Trigger.Response())
    assert (answer.success, bag.exists()) == (not refused, refused)
    if refused:
        assert "could not be removed" in answer.message
        assert "Permission denied" in answer.message
        assert recorder._newest == bag, "it can be discarded again"
