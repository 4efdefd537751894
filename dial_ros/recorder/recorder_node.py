"""Node `recorder`: episodes as rosbag2 folders (MCAP), started, stopped and discarded by service.

Every subscription is raw: the bytes of the wire go, untouched and undecoded, into a queue, and a thread of their own
writes them (dial_core.bags.spool). The executor never waits for the disk. Latched topics (instruction, status) are
remembered and stand at the beginning of every bag.
"""

import shutil
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import deserialize_message
from rclpy.service import Service
from rclpy.timer import Timer
from std_srvs.srv import Trigger

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import BagError
from dial_core.bags.recording_folder import LONGEST_NOTE, MIB, RecordingFolder, require_short
from dial_core.bags.repair import unfinished_bags
from dial_core.bags.spool import Spool
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.msg import Instruction
from dial_ros.node.lifecycle import DialNode, Unfinished
from dial_ros.node.process import run
from dial_ros.recorder.recorded_streams import RecordedStreams
from dial_ros.recorder.recorded_topics import definitions, described, parse_extra, topics_of
from dial_ros.recorder.recorder_parameters import PARAMETERS
from dial_ros.srv import StartEpisode, StopEpisode

OUTCOMES = {
    StopEpisode.Request.OUTCOME_UNKNOWN: "unknown",
    StopEpisode.Request.OUTCOME_SUCCESS: "success",
    StopEpisode.Request.OUTCOME_FAILURE: "failure",
}

STOPPED = {"outcome": "unknown", "note": "the recorder was stopped"}


class RecorderNode(DialNode):
    """The recorder as a lifecycle node. Executor and spool share nothing but the queue."""

    PARAMETERS = PARAMETERS

    def __init__(self) -> None:
        super().__init__("recorder")
        self._spool: Spool | None = None
        self._newest: Path | None = None  # bag of the last episode, for discard
        self._trouble = ""  # why the last episode ended before its time
        self._streams: RecordedStreams | None = None  # while active
        self._services_in: list[Service] = []
        self._watches: list[Timer] = []

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        self._embodiment = load_embodiment(self.value("embodiment"))
        cameras = [name.strip() for name in self.value("cameras").split(",") if name.strip()]
        self._topics = topics_of(self._embodiment, cameras, parse_extra(self.value("extra_topics")), self.value("image_transport"))
        self._definitions = definitions(self._topics)
        self._folder = RecordingFolder(Path(self.value("directory")))
        self._folder.make()
        for bag in unfinished_bags(self._folder.path):
            self.get_logger().warning(f"{bag} was never closed; unless another recorder is writing it: dial repair {bag}")
        self._services_in = [
            self.create_service(StartEpisode, "~/start_episode", self._on_start),
            self.create_service(StopEpisode, "~/stop_episode", self._on_stop),
            self.create_service(Trigger, "~/discard_episode", self._on_discard),
        ]

    def activate(self) -> None:
        self._streams = RecordedStreams(self, self._topics, self._on_message)
        self._watches = [self.every(0.5, self._watch)]

    def unfinished(self) -> Unfinished | None:
        spool = self._spool
        if spool is None:
            return None
        if not spool.ending:
            self._take_waiting()
            spool.end(STOPPED)
        if spool.done:
            return None  # `deactivate` reports how it ended
        left_s = "" if spool.remaining_s is None else f", about {spool.remaining_s:.0f} s"
        return Unfinished(f"completing {spool.writer.folder}: {spool.waiting_bytes / MIB:.1f} MiB to write{left_s}", spool.waiting_bytes)

    def give_up(self) -> None:
        if self._spool is not None:
            self._spool.give_up()

    def deactivate(self) -> None:
        if self._spool is not None:
            self._finish(**STOPPED)
        if self._streams is not None:
            self._streams.close()
        for timer in self._watches:
            self.destroy_timer(timer)
        self._streams, self._watches = None, []

    def cleanup(self) -> None:
        for service in self._services_in:
            self.destroy_service(service)
        self._services_in = []

    def clock_jumped_back(self) -> None:
        if self._spool is not None and not self._spool.ending:
            self._end_early("the clock jumped back")

    def _on_message(self, topic: str, sent_ns: int | None, data: bytes) -> None:
        if self._spool is not None:
            now_ns = self.now_ns()
            self._spool.put(topic, now_ns, sent_ns or now_ns, data)

    # -- services ------------------------------------------------------------------------------------------------

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        try:
            response.path = str(self._start(request.label.strip(), request.instruction.strip()))
            response.success = True
        except DialError as error:
            response.message = str(error)
            self.get_logger().error(f"no episode started: {error}")
        return response

    def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        if self._spool is None:
            response.message = self._trouble or "no episode is being recorded; call start_episode first"
            return response
        if self._spool.ending:
            response.message = f"the recorder is ending; {self._spool.writer.folder} is completed with outcome {STOPPED['outcome']}"
            return response
        if request.outcome not in OUTCOMES:
            response.message = f"outcome {request.outcome} is none of OUTCOME_UNKNOWN 0, OUTCOME_SUCCESS 1, OUTCOME_FAILURE 2"
            return response
        try:
            require_short(request.note, "note")
        except DialError as error:
            response.message = f"{error}; the episode is still being recorded"
            return response
        spool = self._spool
        response.message = self._finish(OUTCOMES[request.outcome], request.note)
        response.success = not response.message
        if response.success and self._streams is not None and (silent := self._streams.without_message()):
            response.message = f"nothing came on {', '.join(silent)} of extra_topics; is it published, with that type?"
            self.get_logger().warning(response.message)
        response.path, response.messages, response.lost = str(spool.writer.folder), spool.writer.messages, spool.lost
        return response

    def _on_discard(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.abandon()
        if self._newest is None:
            response.message = "no episode to discard: none was recorded since the recorder started, or it is discarded already"
            return response
        try:
            shutil.rmtree(self._newest)
        except OSError as error:
            if self._newest.exists():  # else somebody else removed it
                response.message = f"{self._newest} could not be removed: {error}; remove what is left of it by hand, or discard again"
                self.get_logger().error(response.message)
                return response
        response.success, response.message = True, f"discarded {self._newest}"
        self.get_logger().info(response.message)
        self._newest = None
        return response

    # -- an episode ----------------------------------------------------------------------------------------------

    def _start(self, label: str, instruction: str) -> Path:
        """Opens a bag and lets the messages in. Raises DialError with the reason if that cannot be."""
        if not self.active or self._streams is None:
            raise DialError("the recorder is not active; `ros2 lifecycle set recorder activate`")
        if self._spool is not None:
            raise DialError(f"{self._spool.writer.folder.name} is being recorded; stop or discard it first")
        require_short(instruction, "instruction")
        self._folder.make()
        folder = self._folder.bag(label)
        if (free_mb := self._folder.free_mb()) < self.value("min_free_mb"):
            raise DialError(f"only {free_mb:.0f} MiB free in {self._folder.path}, wanted {self.value('min_free_mb')}; make room")
        if (silent := self._streams.silent()) and self.value("wait_for_streams"):
            raise DialError(f"nothing arrives on {', '.join(silent)}; is the driver running, is the topic named so?")
        topics = [described(self, topic, self._definitions[topic.type]) for topic in self._topics]
        writer = BagWriter(folder, topics, self._facts(folder.name, instruction), self.value("split_mb") * MIB)
        spool = Spool(writer, self.value("queue_mb") * MIB)
        now_ns = self.now_ns()
        for name, data in self._streams.latched():
            spool.put(name, now_ns, now_ns, data)
        self._spool, self._newest, self._trouble = spool, folder, ""
        self._streams.begin_episode()
        self.get_logger().info(f"recording {folder}")
        return folder

    def _facts(self, label: str, instruction: str) -> dict[str, str]:
        latched = self._streams.newest("instruction") if self._streams is not None else None
        if not instruction and latched is not None:
            instruction = deserialize_message(latched, Instruction).text[:LONGEST_NOTE]
        return {
            "label": label,
            "instruction": instruction,
            "outcome": "unknown",
            "embodiment": self._embodiment.name,
            "recorded_at": datetime.now().astimezone().isoformat(timespec="seconds"),
        }

    def _finish(self, outcome: str, note: str) -> str:
        """Completes the bag; what went wrong, or an empty text."""
        self._take_waiting()
        spool, self._spool = self._spool, None
        if spool is None:
            return "no episode is being recorded"
        try:
            spool.close({"outcome": outcome, "note": note})
        except BagError as error:
            self._trouble = str(error)
            self.get_logger().error(self._trouble)
            return self._trouble
        lost = f", {spool.lost} lost: the disk was too slow" if spool.lost else ""
        self.get_logger().info(
            f"{spool.writer.folder}: {outcome}, {spool.writer.messages} messages, {spool.written_bytes / MIB:.1f} MiB{lost}"
        )
        return ""

    def _end_early(self, why: str) -> None:
        self._finish("unknown", f"ended early: {why}")
        self._trouble = self._trouble or f"the episode {self._newest} was ended before its time: {why}"
        self.get_logger().error(self._trouble)

    def _take_waiting(self) -> None:
        if self._streams is not None:
            self._streams.take_waiting()

    # -- watching ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._spool is None or self._spool.ending:
            return
        if self._spool.failure:
            self._end_early(self._spool.failure)
            return
        try:
            free_mb = self._folder.free_mb()
        except BagError as error:
            self._end_early(str(error))
            return
        if free_mb < self.value("min_free_mb"):
            self._end_early(f"only {free_mb:.0f} MiB free in {self._folder.path}; make room, then record again")
        elif not self._spool.writer.folder.is_dir():
            self._end_early(f"its folder {self._spool.writer.folder} was removed")

    def _free_mb(self) -> int:
        """Free disk space [MiB] for the diagnostics; -1 while the folder is gone."""
        try:
            return round(self._folder.free_mb())
        except BagError:
            return -1

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        spool = self._spool
        silent = self._streams.silent() if self._streams is not None else []
        values: dict[str, object] = {"free_mb": self._free_mb(), "not_arriving": ", ".join(silent)}
        if spool is None:
            return (DiagnosticStatus.ERROR, self._trouble, values) if self._trouble else (DiagnosticStatus.OK, "idle", values)
        values |= {
            "episode": spool.writer.folder.name,
            "messages": spool.writer.messages,
            "mb": round(spool.written_bytes / MIB, 1),
            "lost": spool.lost,
            "most_waiting_mb": round(spool.most_waiting_bytes / MIB, 1),
        }
        return (DiagnosticStatus.WARN if spool.lost or silent else DiagnosticStatus.OK), "recording", values


def main() -> int:
    """Entry point; the exit status."""
    return run(RecorderNode)


if __name__ == "__main__":
    sys.exit(main())
