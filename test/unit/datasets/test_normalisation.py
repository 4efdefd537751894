import numpy as np
import pytest

from dial_core.datasets.normalisation import fit_normaliser, scaling_of, warnings_about
from dial_core.errors import DialError


@pytest.fixture
def vectors() -> np.ndarray:
    """2000 vectors of 47 normal numbers; dimension 30 is idle, dimension 40 has one wild value."""
    values = np.random.default_rng(0).normal(1.0, 0.5, (2000, 47)).astype(np.float32)
    values[:, 30] = 0.25
    values[7, 40] = 1e4
    return values


def test_quantiles_are_not_moved_by_a_wild_frame(vectors):
    robust, plain = scaling_of(vectors, kind="quantiles"), scaling_of(vectors)
    assert robust.spread[40] == pytest.approx(0.5 * 2.326, rel=0.1)
    assert plain.spread[40] > 100
    assert plain.spread[20] == pytest.approx(0.5, rel=0.1)


def test_an_idle_dimension_is_not_blown_up_and_rotations_stay_raw(vectors):
    normaliser = fit_normaliser([vectors], [vectors], "quantiles")
    encoded = normaliser.encode_action(vectors)
    assert np.abs(encoded[:, 30]).max() == 0
    assert np.abs(normaliser.encode_action(vectors + 0.01)[:, 30]).max() == pytest.approx(1.0, rel=1e-3)
    assert np.array_equal(encoded[:, 3:9], vectors[:, 3:9])
    assert np.quantile(np.abs(encoded[:, 20]), 0.97) < 1.01


def test_datasets_of_one_embodiment_are_fitted_together(vectors):
    apart, together = fit_normaliser([vectors[:500], vectors[500:]], [vectors] * 2), fit_normaliser([vectors], [vectors])
    np.testing.assert_allclose(apart.state_mean, together.state_mean)


def test_what_a_person_should_look_at_is_named(vectors):
    names = [f"joint_{index}" for index in range(47)]
    idle, wild = warnings_about(vectors, "action", names)
    assert "joint_30" in idle
    assert wild.startswith("action: joint_40 strays")


@pytest.mark.parametrize("kind", ["mean_std", "quantiles"])
def test_what_is_masked_is_in_no_statistics_of_actions(vectors, kind):
    counts = np.ones_like(vectors)
    counts[:1200, :3] = 0
    resting = np.where(counts == 1, vectors, np.float32(-3.0))
    fitted = fit_normaliser([resting], [resting], kind, action_masks=[counts])
    seen, everything = fit_normaliser([vectors], [vectors[1200:]], kind), fit_normaliser([resting], [resting], kind)
    np.testing.assert_allclose(fitted.action_mean[:3], seen.action_mean[:3], rtol=1e-6)
    np.testing.assert_allclose(fitted.action_std[:3], seen.action_std[:3], rtol=1e-6)
    np.testing.assert_array_equal(fitted.action_mean[18:], everything.action_mean[18:])
    np.testing.assert_array_equal(fitted.state_mean, everything.state_mean)
    np.testing.assert_array_equal(fitted.state_std, everything.state_std)


@pytest.mark.parametrize("kind", ["mean_std", "quantiles"])
def test_where_every_action_counts_a_mask_changes_no_bit(vectors, kind):
    halves = [vectors[:500], vectors[500:]]
    plain = fit_normaliser(halves, halves, kind)
    masked = fit_normaliser(halves, halves, kind, action_masks=[np.ones_like(halves[0]), None])
    assert masked.to_dict() == plain.to_dict()
    mean, squares = (part.sum(0, dtype=np.float64) for part in (vectors, np.square(vectors - vectors.sum(0, dtype=np.float64) / 2000)))
    whole = fit_normaliser([vectors], [vectors], action_masks=[np.ones_like(vectors)])
    free = ~whole.raw
    np.testing.assert_array_equal(whole.action_mean[free], (mean / 2000).astype(np.float32)[free])
    np.testing.assert_array_equal(whole.action_std[free], np.maximum(np.sqrt(squares / 2000), 0.01).astype(np.float32)[free])


@pytest.mark.parametrize("kind", ["mean_std", "quantiles"])
def test_a_dimension_that_never_counts_keeps_small_numbers(vectors, kind):
    counts = np.ones_like(vectors)
    counts[:, 20] = 0
    fitted, plain = fit_normaliser([vectors], [vectors], kind, action_masks=[counts]), fit_normaliser([vectors], [vectors], kind)
    assert fitted.to_dict() == plain.to_dict()


def test_sines_of_vectors_that_are_too_short_for_joints_are_refused(vectors):
    with pytest.raises(DialError, match="vectors of 14 numbers have no joints, which begin at 18"):
        fit_normaliser([vectors[:, :14]], [vectors[:, :14]], state_encoding="sin_cos")
