import pytest
from rclpy.duration import Duration, Infinite
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

from dial_ros.node import qos
from dial_ros.node.compatibility import mismatch


def reported(**policies) -> QoSProfile:
    """A peer's profile as the graph reports it: every duration spelt out."""
    explicit = {"deadline": Infinite, "lifespan": Infinite, "liveliness_lease_duration": Infinite, "liveliness": LivelinessPolicy.AUTOMATIC}
    return QoSProfile(depth=1, **(explicit | policies))


def test_an_unset_deadline_is_no_mismatch_with_an_infinite_one():
    assert mismatch(qos.LATEST, reported(reliability=ReliabilityPolicy.RELIABLE)) == ""


@pytest.mark.parametrize(
    ("publisher", "subscription", "named"),
    [
        (reported(reliability=ReliabilityPolicy.BEST_EFFORT), qos.LATEST, "Best effort publisher and reliable subscription"),
        (reported(durability=DurabilityPolicy.VOLATILE), qos.LATCHED, "Volatile publisher and transient local subscription"),
        (qos.LATEST, reported(deadline=Duration(seconds=0.1)), "deadline"),
    ],
)
def test_the_policy_that_differs_is_named_and_no_other(publisher, subscription, named):
    why = mismatch(publisher, subscription)
    assert named in why
    assert ";" not in why
