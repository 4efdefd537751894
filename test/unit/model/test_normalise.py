import json

import numpy as np
import pytest
import torch

from dial_core.errors import DialError
from dial_core.model.normalise import Normaliser, rotation_dimensions


@pytest.fixture
def vectors():
    generator = np.random.default_rng(0)
    states = generator.normal(3.0, 2.0, (200, 47)).astype(np.float32)
    states[:, 20] = 0.7  # a joint that never moves
    return states, states + 0.1


@pytest.fixture
def normaliser(vectors):
    return Normaliser.fit(*vectors, raw=rotation_dimensions(47))


def test_encoded_vectors_have_zero_mean_and_unit_spread_but_rotations_are_raw(normaliser, vectors):
    encoded = normaliser.encode_state(vectors[0])
    raw = rotation_dimensions(47)
    moving = ~raw
    moving[20] = False
    assert raw.sum() == 12
    np.testing.assert_array_equal(encoded[:, raw], vectors[0][:, raw])
    np.testing.assert_allclose(encoded[:, moving].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(encoded[:, moving].std(0), 1, atol=1e-4)


def test_a_dimension_that_never_moved_does_not_blow_up(normaliser, vectors):
    state = vectors[0][0].copy()
    state[20] += 0.02
    assert abs(normaliser.encode_state(state)[20]) < 3


def test_decoding_undoes_encoding_for_numpy_and_torch(normaliser, vectors):
    actions = vectors[1]
    np.testing.assert_allclose(normaliser.decode_action(normaliser.encode_action(actions)), actions, atol=1e-5)
    tensor = torch.from_numpy(actions)
    encoded = normaliser.encode_action(tensor)
    np.testing.assert_allclose(encoded.numpy(), normaliser.encode_action(actions), atol=1e-6)
    torch.testing.assert_close(normaliser.decode_action(encoded), tensor, atol=1e-5, rtol=1e-5)


def test_sine_and_cosine_replace_the_joints_of_the_state(vectors):
    normaliser = Normaliser.fit(*vectors, raw=rotation_dimensions(47), state_encoding="sin_cos")
    encoded = normaliser.encode_state(vectors[0])
    assert encoded.shape[1] == normaliser.state_dim == 18 + 2 * 29
    np.testing.assert_allclose(encoded[:, 18:47], np.sin(vectors[0][:, 18:]), atol=1e-6)
    np.testing.assert_allclose(encoded[:, 47:], np.cos(vectors[0][:, 18:]), atol=1e-6)
    torch.testing.assert_close(normaliser.encode_state(torch.from_numpy(vectors[0])).numpy(), encoded, atol=1e-6, rtol=0)


def test_statistics_survive_json(normaliser, vectors):
    again = Normaliser.from_dict(json.loads(json.dumps(normaliser.to_dict())))
    np.testing.assert_array_equal(again.encode_state(vectors[0]), normaliser.encode_state(vectors[0]))


def test_broken_statistics_are_refused(normaliser):
    with pytest.raises(DialError, match="state_mean must be 47 finite numbers"):
        Normaliser.from_dict(normaliser.to_dict() | {"state_mean": [0.0] * 46})
    with pytest.raises(DialError, match="sigma"):
        Normaliser.from_dict(normaliser.to_dict() | {"sigma": 1})


def test_sines_and_cosines_alternate_by_joint_group_where_the_release_has_them_so(vectors):
    parts = (7, 6, 7, 6, 3)
    normaliser = Normaliser.fit(*vectors, raw=rotation_dimensions(47), state_encoding="sin_cos", parts=parts)
    state = vectors[0][:1]
    expected = [normaliser.encode_state(state)[:, :18]]
    for first, last in ((18, 25), (25, 31), (31, 38), (38, 44), (44, 47)):
        expected += [np.sin(state[:, first:last]), np.cos(state[:, first:last])]
    np.testing.assert_allclose(normaliser.encode_state(state), np.concatenate(expected, -1), atol=1e-6)
    torch.testing.assert_close(normaliser.encode_state(torch.from_numpy(state)).numpy(), normaliser.encode_state(state), atol=1e-6, rtol=0)
    again = Normaliser.from_dict(json.loads(json.dumps(normaliser.to_dict())))
    assert again.parts == parts
    with pytest.raises(DialError, match=r"parts \(7, 6\) have 13 joints, expected 29"):
        Normaliser.fit(*vectors, raw=rotation_dimensions(47), state_encoding="sin_cos", parts=(7, 6))


def test_without_a_floor_a_small_spread_counts_and_a_spread_of_zero_leaves_the_value(vectors):
    mean, spread = np.full(47, 0.7), np.full(47, 0.004)
    spread[20] = 0.0
    exact = Normaliser(mean, spread, mean, spread, raw=np.zeros(47, bool), spread_floor=0.0)
    state = np.full(47, 0.708, np.float32)
    encoded = exact.encode_state(state)
    assert encoded[19] == pytest.approx(2.0, abs=1e-4)
    assert encoded[20] == pytest.approx(0.708), "as the release does it"
    assert exact.decode_action(np.ones(47, np.float32))[20] == pytest.approx(0.7), "decoded, such an action is its mean"
