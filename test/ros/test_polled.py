"""Subscriptions that no executor serves, and the world's clock read through one."""

import time

import pytest
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from dial_core.control.motion import to_ns
from dial_ros.node import qos
from dial_ros.node.messages import to_time
from dial_ros.node.polled import OLDEST_TICK_S, FreshClock, PolledSubscription, shown_ns

pytestmark = pytest.mark.ros

MS = 1_000_000


def taken(probe, subscription):
    """Waits for a message; the probe's executor spins meanwhile and must not take it."""
    seen = []
    probe.until(lambda: seen.append(subscription.take()) or seen[-1], "a message")
    return seen[-1]


def test_a_polled_message_is_left_to_the_one_who_asks_and_says_when_it_was_sent(probe):
    subscription = PolledSubscription(probe, String, "polled", qos.LATEST)
    out = probe.create_publisher(String, "polled", qos.LATEST)
    probe.until(lambda: out.get_subscription_count() == 1, "a match")
    before_ns = time.time_ns()
    out.publish(String(data="new"))
    message, sent_ns = taken(probe, subscription)
    assert message.data == "new"
    assert before_ns <= sent_ns <= time.time_ns()
    assert subscription.take() is None
    subscription.close()


def test_the_fresh_clock_advances_between_ticks_while_the_executor_is_blocked(probe):
    assert FreshClock(probe, lambda: 7).now_ns() == 7, "with the system's time the own clock is right"
    probe.set_parameters([Parameter("use_sim_time", value=True)])
    clock = FreshClock(probe, lambda: 7)
    assert clock.now_ns() == 7, "before the first tick there is nothing better"
    out = probe.create_publisher(Clock, "/clock", qos.SENSOR)
    probe.until(lambda: out.get_subscription_count() == 2, "a match")
    out.publish(Clock(clock=to_time(5000 * MS)))
    probe.until(lambda: to_ns(probe.get_clock().now().to_msg()) == 5000 * MS, "the tick")
    assert 5000 * MS < clock.now_ns() <= 5000 * MS + OLDEST_TICK_S * 1e9
    probe.set_parameters([Parameter("use_sim_time", value=False)])
    clock.close()


def test_the_clock_is_extrapolated_from_when_its_tick_was_sent_but_not_without_bound():
    assert shown_ns(5000 * MS, 100 * MS, 140 * MS) == 5040 * MS
    assert shown_ns(5000 * MS, 100 * MS, 90 * MS) == 5000 * MS, "another machine's clock, a little ahead"
    assert shown_ns(5000 * MS, 100 * MS, 9000 * MS) == 5300 * MS, "a world that stands"
