import numpy as np
import pytest

from dial_core.observation.joint_agreement import JointAgreement

MS = 1_000_000


@pytest.fixture
def agreement():
    return JointAgreement(("shoulder", "elbow"), np.array([2.0, 3.0]))


def test_a_robot_at_full_speed_agrees_with_itself(agreement):
    for step in range(100):
        agreement.note(step * 10 * MS, np.array([0.02, 0.03]) * step)
    assert agreement.disagreement(990 * MS) == ""


def test_two_sources_that_agree_may_alternate_with_shifted_stamps(agreement):
    for step in range(50):
        agreement.note(step * 10 * MS, np.array([0.02 * step, 0.5]))
        agreement.note(step * 10 * MS - 4 * MS, np.array([0.02 * step - 0.008, 0.49]))
    assert agreement.disagreement(490 * MS) == ""


def test_two_sources_that_disagree_are_reported_by_joint_until_a_second_after(agreement):
    for step in range(10):
        agreement.note(step * 10 * MS, np.array([0.0, 0.0]))
        agreement.note(step * 10 * MS + MS, np.array([0.0, 0.4]))
    assert agreement.disagreement(100 * MS) == "elbow by 0.40 rad within 0.001 s"
    for step in range(11, 120):
        agreement.note(step * 10 * MS, np.array([0.0, 0.4]))
    assert agreement.disagreement(1200 * MS) == ""


def test_joints_that_are_in_one_message_only_are_not_compared(agreement):
    agreement.note(0, np.array([1.0, np.nan]))
    agreement.note(MS, np.array([np.nan, -1.0]))
    assert agreement.disagreement(MS) == ""


def test_a_joint_that_is_reported_rarely_is_compared_with_its_own_last_report(agreement):
    """Arms at 500 Hz beside hands at 30 Hz: the elbow, at its limit, moved 0.1 rad within the 33 ms, not within the last two."""
    for step in range(500):
        agreement.note(step * 2 * MS, np.array([0.0, np.nan]))
        if step % 16 == 0:
            agreement.note(step * 2 * MS, np.array([np.nan, 0.006 * step]))
        assert agreement.disagreement(step * 2 * MS) == ""


def test_two_rare_sources_of_one_joint_that_disagree_are_reported_beside_a_frequent_one_of_others(agreement):
    for step in range(100):
        agreement.note(step * 2 * MS, np.array([0.0, np.nan]))
        if step % 16 == 0:
            agreement.note(step * 2 * MS, np.array([np.nan, 0.0]))
            agreement.note(step * 2 * MS + MS, np.array([np.nan, 0.4]))
    assert agreement.disagreement(200 * MS) == "elbow by 0.40 rad within 0.001 s"


def test_a_pause_between_messages_is_no_disagreement(agreement):
    agreement.note(0, np.array([0.0, 0.0]))
    agreement.note(5000 * MS, np.array([2.0, 2.0]))
    assert agreement.disagreement(5000 * MS) == ""
