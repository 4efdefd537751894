"""Quality of service of every topic, as docs and interfaces name it."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE, depth: int = 1) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


SENSOR = _profile(ReliabilityPolicy.BEST_EFFORT)  # images: newest wins; matches a reliable driver too
PARTS = _profile(ReliabilityPolicy.BEST_EFFORT, depth=20)  # joint states, of several broadcasters on one topic: see JointStateInput
LATEST = _profile(ReliabilityPolicy.RELIABLE)  # foresight, trajectories
LATCHED = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)  # instruction, status: late joiners see it
REQUESTS = _profile(ReliabilityPolicy.RELIABLE, depth=200)  # of services that many may call: one that is dropped is never answered
EVENTS = _profile(ReliabilityPolicy.RELIABLE, depth=10)  # diagnostics, rejections: none may be missed
