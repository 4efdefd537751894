"""The motion follows what controllers execute: lost trajectories, late ones, controllers that stand, and robots that do not report."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import JointMotion, merged
from dial_core.control.played_motion import SAME_ORIGIN_S, distinct_origin_ns

S = 1_000_000_000
NAMES = ("a", "b", "c")


def moving(origin_s, slope=0.1):
    """A motion of three joints from 0 at its origin, at a constant speed for a second, at rest after two."""
    times_s = np.array([0.001, 1.0, 2.0])
    positions = slope * times_s[:, None] * np.ones(3)
    velocities = slope * np.array([1.0, 1.0, 0.0])[:, None] * np.ones(3)
    return JointMotion(round(origin_s * S), times_s, positions, velocities)


@pytest.fixture
def execution():
    return ExecutedMotion({"arm": [0, 1], "hand": [2]}, NAMES, max_divergence_rad=0.3)


def send(execution, motion, sent_s):
    execution.sent(motion, round(sent_s * S), round((sent_s + 0.05) * S))


def report(execution, name, time_s, motion):
    columns = {"arm": [0, 1], "hand": [2]}[name]
    position = motion.sample(round(time_s * S))[0][columns] if motion else np.full(len(columns), 0.7)
    execution.note_reference(name, round(time_s * S), motion.origin_ns if motion else None, position)


def test_a_controller_that_lost_the_newest_motion_is_continued_where_it_plays_the_one_before(execution):
    old, new = moving(1.0), moving(1.2, slope=0.3)
    send(execution, old, 1.1)
    send(execution, new, 1.3)
    report(execution, "arm", 1.4, old)
    report(execution, "hand", 1.4, new)
    executed = execution.executed(new, round(1.42 * S))
    for time_s in (1.41, 1.7, 2.3, 2.95):
        position = executed.sample(round(time_s * S))[0]
        np.testing.assert_allclose(position[:2], old.sample(round(time_s * S))[0][:2], atol=1e-9)
        np.testing.assert_allclose(position[2], new.sample(round(time_s * S))[0][2], atol=1e-9)
    send(execution, moving(1.4), 1.5)
    assert execution.lost == 1


def test_of_two_motions_shortly_after_one_another_a_controller_plays_the_one_whose_origin_it_reports(execution):
    """A stop that repeats another one comes to rest a fraction of a milliradian away: where it was lost, that would be a step."""
    first, second = moving(1.0, slope=0.1), moving(1.02, slope=0.101)
    send(execution, first, 1.05)
    send(execution, second, 1.07)
    report(execution, "arm", 1.4, first)
    report(execution, "hand", 1.4, second)
    executed = execution.executed(second, round(1.42 * S)).sample(round(1.42 * S))[0]
    np.testing.assert_allclose(executed[:2], first.sample(round(1.42 * S))[0][:2], atol=1e-9)
    np.testing.assert_allclose(executed[2], second.sample(round(1.42 * S))[0][2], atol=1e-9)
    execution.sent(second, round(1.5 * S), round(1.55 * S))
    assert execution.lost == 1


def test_a_motion_that_may_still_be_on_its_way_is_not_lost(execution):
    old, new = moving(1.0), moving(1.2, slope=0.3)
    send(execution, old, 1.1)
    report(execution, "arm", 1.2, old)
    send(execution, new, 1.3)
    report(execution, "arm", 1.33, old)
    assert execution.executed(new, round(1.34 * S)) is new


def test_a_controller_that_plays_nothing_of_ours_is_continued_where_it_stands_and_has_diverged_after_a_second(execution):
    new = moving(1.0)
    send(execution, new, 1.1)
    report(execution, "hand", 1.2, new)
    report(execution, "arm", 1.2, None)
    position, velocity = execution.executed(new, round(1.25 * S)).sample(round(1.5 * S))
    np.testing.assert_allclose(position, [0.7, 0.7, 0.05], atol=1e-6)
    np.testing.assert_allclose(velocity, [0.0, 0.0, 0.1], atol=1e-6)
    assert execution.diverged(new, round(1.5 * S)) == {}
    report(execution, "arm", 2.2, None)
    assert execution.diverged(new, round(2.2 * S)) == {"arm": "arm does not execute what it is sent: a is 0.58 rad off"}
    for name in ("arm", "hand"):
        report(execution, name, 2.3, new)
    assert execution.diverged(new, round(2.3 * S)) == {}


def test_after_a_new_request_a_controller_has_the_whole_patience_from_the_next_motion_on(execution):
    lost, new = moving(1.0), moving(5.0)
    send(execution, lost, 1.1)
    report(execution, "hand", 4.0, lost)
    report(execution, "arm", 4.0, None)
    assert execution.diverged(lost, round(4.0 * S))
    execution.renew_patience(round(4.0 * S))
    report(execution, "arm", 4.5, None)
    assert execution.diverged(lost, round(4.5 * S)) == {}, "nothing was sent that it could have executed"
    send(execution, new, 5.1)
    report(execution, "arm", 5.9, None)
    report(execution, "hand", 5.9, new)
    assert execution.diverged(new, round(5.9 * S)) == {}
    report(execution, "arm", 6.4, None)
    assert list(execution.diverged(new, round(6.4 * S))) == ["arm"]


def test_until_the_newest_motion_is_known_to_be_played_or_lost_nothing_can_be_spliced_into_it(execution):
    old, new = moving(1.0), moving(1.2, slope=0.3)
    send(execution, old, 1.1)
    assert not execution.unconfirmed(round(1.12 * S)), "nobody reports"
    for name in ("arm", "hand"):
        report(execution, name, 1.2, old)
    assert not execution.unconfirmed(round(1.22 * S))
    send(execution, new, 1.3)
    report(execution, "hand", 1.32, new)
    report(execution, "arm", 1.33, old)
    assert execution.unconfirmed(round(1.34 * S)), "the arm may have it soon, or never"
    report(execution, "arm", 1.37, old)
    assert not execution.unconfirmed(round(1.38 * S)), "lost"


def test_a_controller_that_has_stopped_reporting_is_not_taken_to_execute_what_is_sent(execution):
    motion = moving(1.0)
    send(execution, motion, 1.1)
    for time_s in np.arange(1.2, 1.61, 0.05):
        for name in ("arm", "hand"):
            report(execution, name, time_s, motion)
    for time_s in np.arange(1.65, 2.8, 0.05):
        report(execution, "hand", time_s, motion)
    assert execution.silent(round(1.75 * S)) == []
    assert execution.silent(round(1.9 * S)) == ["arm"]
    assert execution.diverged(motion, round(2.4 * S)) == {}
    assert execution.diverged(motion, round(2.7 * S)) == {"arm": "arm has not reported for 1.1 s what it executes"}


def test_after_a_new_request_a_silent_controller_has_time_to_report(execution):
    motion = moving(1.0)
    send(execution, motion, 1.1)
    report(execution, "arm", 1.2, motion)
    execution.renew_patience(round(3.0 * S))
    assert execution.diverged(motion, round(4.0 * S)) == {}
    assert execution.silent(round(4.0 * S)) == ["arm"], "nothing is sent meanwhile"
    assert list(execution.diverged(motion, round(4.1 * S))) == ["arm"]


@pytest.mark.parametrize(("interval_s", "found"), [(0.05, True), (0.4, True), (1.2, False)])
def test_silence_counts_while_joint_states_are_looked_at_often_enough(execution, interval_s, found):
    """A System-1 that is seldom scheduled still finds the silence; one that was not for over a second may have the reports to read yet."""
    motion = moving(1.0)
    send(execution, motion, 1.05)
    for name in ("arm", "hand"):
        report(execution, name, 1.2, motion)
    for time_s in np.arange(1.2, 3.7, interval_s):
        execution.note_measured(motion, round(time_s * S), motion.sample(round(time_s * S))[0])
        diverged = execution.diverged(motion, round(time_s * S))
    assert bool(diverged) is found


def test_a_controller_that_reports_rarely_is_given_three_of_its_periods(execution):
    motion = moving(1.0)
    send(execution, motion, 1.1)
    for time_s in (1.2, 1.5, 1.8):
        report(execution, "arm", time_s, motion)
    assert execution.silent(round(2.6 * S)) == []
    assert execution.silent(round(2.8 * S)) == ["arm"]


@pytest.mark.parametrize("step_s", [10.0, -10.0])
def test_a_clock_step_before_the_first_report_is_not_taken_for_one(execution, step_s):
    lead_s = execution.chunk_lead_s
    send(execution, moving(21.0), 21.1)
    execution.shift(round(step_s * S))
    assert not execution.without_origin("arm")
    assert execution.chunk_lead_s == lead_s
    time_ns, moved = round((21.3 + step_s) * S), moving(21.0 + step_s)
    execution.note_reference("arm", time_ns, None, moved.sample(time_ns)[0][:2])
    assert execution.without_origin("arm"), "it is found by where it is"


def test_the_latency_is_remembered_for_as_many_motions_whatever_the_number_of_controllers(execution):
    for k in range(12):
        motion = moving(1.0 + 0.15 * k)
        send(execution, motion, 1.1 + 0.15 * k)
        for name in ("arm", "hand"):
            report(execution, name, 1.1 + 0.15 * k + (0.08 if k == 0 else 0.01), motion)
    assert execution.latencies.longest_s == pytest.approx(0.08)


def test_a_reference_that_is_elsewhere_than_the_motion_it_names_counts_as_another(execution):
    new = moving(1.0)
    send(execution, new, 1.1)
    execution.note_reference("arm", round(1.3 * S), new.origin_ns, np.array([0.03, 0.2]))
    assert execution.executed(new, round(1.31 * S)).sample(round(1.31 * S))[0][1] == pytest.approx(0.2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_report_that_is_not_finite_is_refused_by_name_and_counts_as_silence(execution, value):
    motion = moving(1.0)
    send(execution, motion, 1.1)
    for name in ("arm", "hand"):
        report(execution, name, 1.2, motion)
    broken = np.array([value, 0.02])
    refused = "arm reports a reference that it cannot execute: 1 of 2 values are not finite: a"
    assert execution.note_reference("arm", round(1.3 * S), motion.origin_ns, broken) == refused
    assert execution.executed(motion, round(1.31 * S)) is motion, "the last report counts"
    report(execution, "hand", 2.35, motion)
    execution.note_reference("arm", round(2.35 * S), motion.origin_ns, broken)
    assert execution.silent(round(2.35 * S)) == ["arm"]
    assert execution.diverged(motion, round(2.35 * S)) == {"arm": f"arm has not reported for 1.1 s what it executes ({refused})"}
    report(execution, "arm", 2.4, motion)
    assert execution.diverged(motion, round(2.4 * S)) == {}


def test_without_reports_measured_joints_that_do_not_follow_have_diverged_and_a_lag_has_not(execution):
    motion = moving(1.0, slope=1.0)
    for time_s in np.arange(1.1, 2.9, 0.1):
        lagging = motion.sample(round((time_s - 0.2) * S))[0]
        lagging[2] = 0.0
        execution.note_measured(motion, round(time_s * S), lagging)
    (text,) = execution.diverged(motion, round(2.8 * S)).values()
    assert text.startswith("hand does not execute what it is sent: c is 1.")


def test_merged_motions_keep_the_shape_of_both():
    one, other = moving(1.0), moving(1.333, slope=-0.4)
    both = merged(one, other, np.array([1]))
    for time_s in (1.5, 1.9, 2.4, 3.2):
        position = both.sample(round(time_s * S))[0]
        assert position[0] == pytest.approx(one.sample(round(time_s * S))[0][0], abs=1e-9)
        assert position[1] == pytest.approx(other.sample(round(time_s * S))[0][1], abs=1e-9)


@given(st.integers(10**9, 2 * 10**9), st.lists(st.integers(10**9, 2 * 10**9), max_size=16))
def test_a_distinct_origin_is_no_later_and_far_from_all_others(origin_ns, taken_ns):
    chosen_ns = distinct_origin_ns(origin_ns, taken_ns)
    apart_ns = round(2 * SAME_ORIGIN_S * S)
    assert chosen_ns <= origin_ns
    assert all(abs(chosen_ns - other_ns) >= apart_ns for other_ns in taken_ns)
    assert chosen_ns == origin_ns or chosen_ns + apart_ns in taken_ns, "no earlier than it must be"
    assert distinct_origin_ns(0, taken_ns) == 1, "0 would mean: on arrival"
