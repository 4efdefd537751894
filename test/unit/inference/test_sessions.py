"""The two sessions of a checkpoint: shapes, what they compute, and what they refuse.

pytest test/unit/inference/test_sessions.py
"""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.control.overlap import Committed
from dial_core.errors import DialError
from dial_core.inference.cuda_graph import Captured, Recording
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.model.flow_matching import NO_NOISE
from dial_core.observation.camera_view import CameraView
from dial_core.robot.embodiment import load_embodiment

INSTRUCTION = "pick the can from the placemat and place it on the plate"


@pytest.fixture(scope="module")
def checkpoint(random_checkpoint):
    return load_checkpoint(random_checkpoint)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)


@pytest.fixture
def state():
    state = np.zeros(47, np.float32)
    state[18:] = load_embodiment("gr1").home_position
    return state


def test_an_image_and_words_become_foresight_and_then_a_chunk(checkpoint, image, state):
    foresight = System2Session(checkpoint).foresight(image, INSTRUCTION)
    chunk = System1Session(checkpoint).chunk(image, foresight, state)
    assert (foresight.shape, foresight.dtype) == ((36, 192), np.float32)
    assert (chunk.shape, chunk.dtype) == ((16, 47), np.float32)
    assert np.isfinite(chunk).all()


def test_a_checkpoint_of_two_cameras_needs_an_image_of_each_and_uses_both(checkpoint, image, state):
    wrist = CameraView(name="wrist", height=96, width=96)
    two = replace(checkpoint, contract=checkpoint.contract.model_copy(update={"further_cameras": (wrist,)}))
    session, foresight = System1Session(two), np.zeros((36, 192), np.float32)
    chunks = [session.chunk((image, other), foresight, state) for other in (image, 255 - image)]
    assert np.abs(chunks[0] - chunks[1]).max() > 1e-4
    with pytest.raises(DialError, match=r"sees 2 cameras \(ego, wrist\), got 1 images"):
        session.chunk(image, foresight, state)


def test_a_chunk_can_be_made_to_agree_with_committed_actions(checkpoint, image, state):
    session, foresight = System1Session(checkpoint), np.zeros((36, 192), np.float32)
    free = session.chunk(image, foresight, state)
    weights = np.where(np.arange(16) < 4, 1.0, 0.0)
    led = session.chunk(image, foresight, state, Committed(free + 0.1, weights))
    assert np.abs(led - free - 0.1)[:4].mean() < 0.5 * 0.1
    np.testing.assert_allclose(session.chunk(image, foresight, state, Committed(free + 0.1, 0 * weights)), free, atol=1e-4)


def test_the_look_of_system_2_gives_the_view_in_the_foresights_own_space(checkpoint, image):
    foresight, view = System2Session(checkpoint).look(image, INSTRUCTION)
    assert foresight.shape == view.shape
    np.testing.assert_array_equal(foresight, System2Session(checkpoint).foresight(image, INSTRUCTION))


def test_two_loads_of_a_checkpoint_compute_the_same(random_checkpoint, checkpoint, image, state):
    again = load_checkpoint(random_checkpoint)
    first, second = (System2Session(c).foresight(image, INSTRUCTION) for c in (checkpoint, again))
    np.testing.assert_array_equal(first, second)
    chunks = [System1Session(c).chunk(image, first, state) for c in (checkpoint, again)]
    np.testing.assert_array_equal(*chunks)


def test_the_noise_seed_and_the_instruction_matter(checkpoint, image, state):
    system2 = System2Session(checkpoint)
    foresight = system2.foresight(image, INSTRUCTION)
    other = system2.foresight(image, INSTRUCTION.replace("can", "bottle"))
    assert np.abs(foresight - other).max() > 1e-5
    np.testing.assert_array_equal(system2.foresight(image, INSTRUCTION), foresight)
    unseeded, *chunks = [System1Session(checkpoint, noise_seed=seed).chunk(image, foresight, state) for seed in (NO_NOISE, 0, 1)]
    assert np.abs(chunks[0] - chunks[1]).max() > 1e-5
    assert np.abs(unseeded - chunks[0]).max() > 1e-5
    np.testing.assert_array_equal(System1Session(checkpoint).chunk(image, foresight, state), unseeded)


def record(function, inputs):
    """On fixed memory, as CUDA graphs run: nothing but the inputs may change between two calls."""
    function(*inputs)
    result = function(*inputs)
    kept = result if isinstance(result, tuple) else (result,)

    def replay():
        again = function(*inputs)
        for mine, new in zip(kept, again if isinstance(again, tuple) else (again,), strict=True):
            mine.copy_(new)

    return Recording(inputs, replay, result)


def test_a_captured_session_gives_what_an_uncaptured_one_gives(checkpoint, image, state):
    plain2, plain1 = System2Session(checkpoint), System1Session(checkpoint)
    captured2, captured1 = System2Session(checkpoint), System1Session(checkpoint)
    captured2._think.recorder = captured1._act.recorder = record
    for pixels, words in ((image, INSTRUCTION), (255 - image, INSTRUCTION), (image, "open the drawer")):
        foresight, view = captured2.look(pixels, words)
        for found, expected in zip((foresight, view), plain2.look(pixels, words), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(captured1.chunk(pixels, foresight, state), plain1.chunk(pixels, foresight, state), atol=1e-5)


@pytest.mark.parametrize("preset", ["dial_tiny", "dial_tiny_seer_ev", "dial_tiny_frozen"])
def test_captured_prompts_of_many_lengths_share_recordings_that_are_made_ahead(preset, image, tmp_path):
    make_random_checkpoint(tmp_path / "random", preset=preset)
    loaded = load_checkpoint(tmp_path / "random")
    plain, captured = System2Session(loaded), System2Session(loaded)
    captured.captures, captured._think = True, Captured(captured.padded_function, record)
    captured.record(2)
    made = len(captured._think)
    for words in ("go", "open the drawer", INSTRUCTION):
        np.testing.assert_allclose(captured.foresight(image, words), plain.foresight(image, words), atol=1e-5)
    assert made == len(captured._think) == 2


def test_a_chunk_that_agrees_with_committed_actions_sees_through_a_recording(checkpoint, image, state):
    foresight = np.random.default_rng(1).standard_normal((36, 192)).astype(np.float32)
    committed = Committed(np.tile(state, (16, 1)), np.linspace(1, 0, 16, dtype=np.float32))
    plain, captured = System1Session(checkpoint), System1Session(checkpoint)
    captured._see.recorder = record
    for pixels in (image, 255 - image):
        expected = plain.chunk(pixels, foresight, state, committed)
        np.testing.assert_allclose(captured.chunk(pixels, foresight, state, committed), expected, atol=1e-5)
    assert len(captured._see) == 1


@pytest.mark.parametrize("preset", ["dial_tiny", "dial_tiny_dino", "dial_tiny_finetuned"])
def test_a_session_from_a_folder_loads_its_own_part_and_computes_the_same(preset, image, state, tmp_path):
    make_random_checkpoint(tmp_path / "random", preset=preset)
    whole = load_checkpoint(tmp_path / "random")
    system2, system1 = System2Session.from_checkpoint(tmp_path / "random"), System1Session.from_checkpoint(tmp_path / "random")
    foresight = system2.foresight(image, INSTRUCTION)
    np.testing.assert_array_equal(foresight, System2Session(whole).foresight(image, INSTRUCTION))
    np.testing.assert_array_equal(system1.chunk(image, foresight, state), System1Session(whole).chunk(image, foresight, state))
    assert not [name for name, _ in system1.model.named_parameters() if "language_model" in name or "foresight_head" in name]
    assert not [name for name, _ in system2.model.named_parameters() if name.startswith("system1.")]


def test_read_only_images_as_messages_give_them_are_taken(checkpoint, image):
    frozen = np.frombuffer(image.tobytes(), np.uint8).reshape(96, 96, 3)
    System2Session(checkpoint).foresight(frozen, INSTRUCTION)


def test_images_whose_channels_are_reversed_without_a_copy_are_taken(checkpoint, image, state):
    reversed_channels = image[..., ::-1]
    system2, system1 = System2Session(checkpoint), System1Session(checkpoint)
    foresight = system2.foresight(reversed_channels, INSTRUCTION)
    np.testing.assert_array_equal(foresight, system2.foresight(reversed_channels.copy(), INSTRUCTION))
    backwards = foresight[::-1]
    np.testing.assert_array_equal(
        system1.chunk(reversed_channels, backwards, state), system1.chunk(reversed_channels.copy(), backwards.copy(), state)
    )


def test_unknown_words_are_reported(checkpoint):
    assert System2Session(checkpoint).unknown_words("pick the wotsit") == ["wotsit"]


@pytest.mark.parametrize("preset", ["dial_tiny", "dial_tiny_flare"])
def test_whether_an_instruction_becomes_a_prompt_is_known_before_an_image_arrives(preset, image, tmp_path):
    make_random_checkpoint(tmp_path / "random", preset=preset)
    session = System2Session(load_checkpoint(tmp_path / "random"))
    for text, what in (("pick <|image_pad|> up", "contains"), ("  ", "empty"), ("!" * 120, "163 tokens" if "flare" in preset else "")):
        if not what:
            session.require_encodable(text)
            session.foresight(image, text)
            continue
        for attempt in (session.require_encodable, lambda text: session.foresight(image, text)):
            with pytest.raises(DialError, match=what):
                attempt(text)


@pytest.mark.parametrize(
    "wrong", [np.zeros((96, 95, 3), np.uint8), np.zeros((96, 96, 3), np.float32), None], ids=["shape", "dtype", "none"]
)
def test_a_wrong_image_is_refused_with_expected_and_got(checkpoint, state, wrong):
    with pytest.raises(DialError, match=r"camera 'ego': expected uint8 \(96, 96, 3\), got"):
        System2Session(checkpoint).foresight(wrong, INSTRUCTION)
    with pytest.raises(DialError, match=r"expected uint8 \(96, 96, 3\), got"):
        System1Session(checkpoint).chunk(wrong, np.zeros((36, 192)), state)


@pytest.mark.parametrize("wrong", ["actions", "weights"])
def test_committed_actions_that_are_not_finite_are_refused(checkpoint, image, state, wrong):
    session = System1Session(checkpoint)
    values = {"actions": np.zeros((16, 47), np.float32), "weights": np.ones(16, np.float32)}
    values[wrong][3] = np.nan
    with pytest.raises(DialError, match=f"committed {wrong}: .*not finite"):
        session.chunk(image, np.zeros((36, 192), np.float32), state, Committed(**values))


def test_wrong_foresight_and_state_are_refused(checkpoint, image, state):
    session = System1Session(checkpoint)
    with pytest.raises(DialError, match=r"foresight: expected shape \(36, 192\), got \(35, 192\)"):
        session.chunk(image, np.zeros((35, 192)), state)
    with pytest.raises(DialError, match=r"state: expected shape \(47,\), got \(29,\)"):
        session.chunk(image, np.zeros((36, 192)), state[18:])
    state[30] = np.nan
    with pytest.raises(DialError, match=r"state: 1 of 47 values are not finite, first at \[30\]"):
        session.chunk(image, np.zeros((36, 192)), state)
