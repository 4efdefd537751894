"""Where chunks overlap, the ensemble averages all that reach a moment, and only those."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dial_core.control.motion import NANOSECONDS
from dial_core.control.overlap import guidance_weights, make_overlap
from dial_core.errors import DialError

STEP_S, HORIZON = 0.05, 16
STEP_NS = round(STEP_S * NANOSECONDS)
ORIGIN_NS = 1_764_000_000 * NANOSECONDS  # a wall clock's: large numbers must not cost precision


def ramp(stamp_ns, slope=1.0, offset=0.0):
    """A chunk of the motion slope * t + offset, one joint."""
    times_s = (stamp_ns - ORIGIN_NS) / NANOSECONDS + STEP_S * np.arange(1, HORIZON + 1)
    return (slope * times_s + offset)[:, None]


def constant(value):
    return np.full((HORIZON, 2), value)


def test_replace_follows_the_newest_chunk_alone():
    overlap = make_overlap("replace", STEP_S)
    overlap.targets(0, constant(1.0), 0)
    assert (overlap.targets(STEP_NS, constant(5.0), STEP_NS) == 5.0).all()


def test_the_ensemble_is_the_mean_of_the_chunks_that_reach_each_moment():
    overlap = make_overlap("ensemble", STEP_S)
    assert (overlap.targets(0, constant(1.0), 0) == 1.0).all()
    second = overlap.targets(6 * STEP_NS, constant(3.0), 6 * STEP_NS)
    assert np.allclose(second[:10], 2.0)
    assert np.allclose(second[10:], 3.0)
    third = overlap.targets(12 * STEP_NS, constant(8.0), 12 * STEP_NS)
    assert np.allclose(third[:4], 4.0)
    assert np.allclose(third[4:10], 5.5)
    assert np.allclose(third[10:], 8.0)


@given(st.lists(st.integers(1, 20 * STEP_NS), min_size=1, max_size=12))
def test_chunks_that_agree_are_left_as_they_are_whatever_their_stamps(gaps_ns):
    overlap, stamp_ns = make_overlap("ensemble", STEP_S), ORIGIN_NS
    for gap_ns in gaps_ns:
        stamp_ns += gap_ns
        assert np.allclose(overlap.targets(stamp_ns, ramp(stamp_ns), stamp_ns), ramp(stamp_ns), atol=1e-6)


@given(st.lists(st.tuples(st.integers(1, 20 * STEP_NS), st.floats(-3, 3)), min_size=1, max_size=12))
def test_no_target_lies_outside_of_what_the_chunks_asked_for(chunks):
    overlap, stamp_ns, asked = make_overlap("ensemble", STEP_S), 0, []
    for gap_ns, value in chunks:
        stamp_ns += gap_ns
        asked.append(value)
        result = overlap.targets(stamp_ns, constant(value), stamp_ns)
        assert result.min() >= min(asked) - 1e-9
        assert result.max() <= max(asked) + 1e-9


def test_after_a_reset_earlier_chunks_count_no_more():
    overlap = make_overlap("ensemble", STEP_S)
    overlap.targets(0, constant(1.0), 0)
    overlap.reset()
    assert (overlap.targets(STEP_NS, constant(3.0), STEP_NS) == 3.0).all()


def test_chunks_whose_horizon_has_passed_are_dropped():
    overlap = make_overlap("ensemble", STEP_S)
    for k in range(200):
        overlap.targets(3 * k * STEP_NS, constant(float(k)), 3 * k * STEP_NS)
    assert len(overlap._chunks) <= 6


def test_an_unknown_strategy_names_the_known_ones():
    with pytest.raises(DialError, match=r"'mean' .* ensemble, replace, blend, rtc"):
        make_overlap("mean", STEP_S)


def test_a_blend_fades_from_the_old_chunk_to_the_new_one_after_it_takes_over():
    overlap = make_overlap("blend", STEP_S)
    overlap.targets(0, constant(1.0), 0)
    # Targets at 0.05 s, 0.1 s, ... after the stamp; the new chunk takes over at 0.1 s and has faded in at 0.3 s.
    faded = overlap.targets(4 * STEP_NS, constant(3.0), 6 * STEP_NS)[:, 0]
    np.testing.assert_allclose(faded[:7], [1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0])


def test_a_blend_is_cleared_and_then_only_the_new_chunk_counts():
    overlap = make_overlap("blend", STEP_S)
    overlap.targets(0, constant(1.0), 0)
    overlap.reset()
    assert (overlap.targets(STEP_NS, constant(3.0), STEP_NS) == 3.0).all()


def test_only_real_time_chunking_asks_a_chunk_to_agree():
    for strategy in ("replace", "blend", "ensemble"):
        overlap = make_overlap(strategy, STEP_S)
        overlap.targets(0, constant(1.0), 0)
        assert overlap.committed(STEP_NS, 0.1) is None


def test_real_time_chunking_commits_to_what_is_executed_meanwhile():
    overlap = make_overlap("rtc", STEP_S)
    assert overlap.committed(0, 0.1) is None, "nothing runs yet"
    overlap.targets(ORIGIN_NS, ramp(ORIGIN_NS), ORIGIN_NS)
    stamp_ns = ORIGIN_NS + round(2.5 * STEP_NS)
    committed = overlap.committed(stamp_ns, 0.12)
    np.testing.assert_allclose(committed.actions[:13], ramp(stamp_ns)[:13], atol=1e-6)
    assert (committed.weights[:3] == 1).all()
    assert overlap.committed(ORIGIN_NS + 16 * STEP_NS, 0.1) is None, "its horizon has passed"
    overlap.reset()
    assert overlap.committed(stamp_ns, 0.12) is None


@given(st.integers(1, 16), st.integers(0, 20))
def test_guidance_never_grows_along_the_chunk_and_ends_where_the_old_one_does(reached, delay):
    weights = guidance_weights(HORIZON, reached, delay)
    assert (np.diff(weights) <= 1e-12).all()
    assert (weights[: min(delay, reached)] == 1).all()
    assert (weights[reached:] == 0).all()
    assert ((weights >= 0) & (weights <= 1)).all()
