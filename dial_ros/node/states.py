"""Readable names of the states of both systems."""

from dial_ros.msg import System1Status, System2Status

SYSTEM1_STATES = {
    System1Status.STATE_INACTIVE: "inactive",
    System1Status.STATE_DISARMED: "disarmed",
    System1Status.STATE_WAITING: "waiting",
    System1Status.STATE_RUNNING: "running",
    System1Status.STATE_HOLDING: "holding",
    System1Status.STATE_PAUSED: "paused",
    System1Status.STATE_STOPPED: "stopped",
}
SYSTEM2_STATES = {
    System2Status.STATE_INACTIVE: "inactive",
    System2Status.STATE_IDLE: "idle",
    System2Status.STATE_WAITING: "waiting",
    System2Status.STATE_RUNNING: "running",
}

STOPPED = "stopped"  # what an answer to an emergency stop begins with, and only if the robot is coming to rest by it
UNSTOPPED = "Use the robot's own emergency stop."
SILENT_S = 1.5  # [s of wall time] a node that reports five times a second and is not received for so long is gone
