import numpy as np
import pytest

from dial_core.observation.camera_view import CameraView
from dial_core.training.augmentation import DrawnAugmentation, ImageAugmentation

VIEW = CameraView(name="ego", height=96, width=96)
STRONG = ImageAugmentation(crop=0.7, brightness=0.4, contrast=0.4, saturation=0.5)


@pytest.fixture
def frames() -> np.ndarray:
    """Two frames that differ in one square only."""
    ramp = np.linspace(40, 200, 96).astype(np.uint8)
    frames = np.stack([np.broadcast_to(ramp[None, :, None], (96, 96, 3))] * 2).copy()
    frames[1, 40:56, 40:56] = (200, 30, 40)
    return frames


def test_both_frames_of_a_sample_are_augmented_alike(frames):
    for seed in range(10):
        now, goal = STRONG.draw(np.random.default_rng(seed)).of(frames, VIEW)
        changed = (now != goal).any(-1)
        assert 0 < changed.mean() < 0.2  # the square and nothing else
        rows, columns = np.nonzero(changed)
        assert changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean() > 0.9


def test_no_augmentation_leaves_the_frame_as_the_robot_sees_it(frames):
    assert np.array_equal(ImageAugmentation().draw(np.random.default_rng(0)).of(frames, VIEW), frames)


def test_augmentations_differ_between_samples_and_repeat_for_a_seed(frames):
    drawn = [STRONG.draw(np.random.default_rng(seed)) for seed in (1, 2, 1)]
    assert drawn[0] != drawn[1]
    assert drawn[0] == drawn[2]
    assert not np.array_equal(drawn[0].of(frames, VIEW), drawn[1].of(frames, VIEW))


def test_a_crop_shows_its_part_of_the_frame_in_full_size(frames):
    shown = DrawnAugmentation(zoom=(0.0, 0.5, 1.0, 0.5)).of(frames, VIEW)
    assert shown.shape == frames.shape
    assert abs(int(shown[0, 0, 0, 0]) - int(frames[0, 0, 48, 0])) <= 2


def test_other_cameras_are_brought_to_the_models_size():
    assert DrawnAugmentation().of(np.zeros((3, 120, 160, 3), np.uint8), VIEW).shape == (3, 96, 96, 3)


def test_without_saturation_only_grey_is_left(frames):
    grey = DrawnAugmentation(saturation=0.0).of(frames, VIEW)
    assert np.ptp(grey.astype(int), axis=-1).max() <= 1


def test_a_turn_of_the_hues_moves_colours_and_leaves_grey():
    square = np.zeros((1, 96, 96, 3), np.uint8)
    square[:, :, :48], square[:, :, 48:] = (200, 0, 0), 90
    turned = DrawnAugmentation(hue=1 / 3).of(square, VIEW)
    assert np.abs(turned[0, 0, 0].astype(int) - (0, 200, 0)).max() < 8
    assert np.array_equal(turned[:, :, 48:], square[:, :, 48:])
    reach = [ImageAugmentation(hue=0.08).draw(np.random.default_rng(seed)).hue for seed in range(50)]
    assert 0.06 < max(np.abs(reach)) <= 0.08


def test_a_crop_of_one_side_is_taken_from_every_image():
    augmentation = ImageAugmentation(crop=0.95, always_crops=True)
    zooms = [augmentation.draw(np.random.default_rng(seed)).zoom for seed in range(50)]
    assert {zoom[2:] for zoom in zooms} == {(0.95, 0.95)}
    assert len({zoom[:2] for zoom in zooms}) == 50
    assert augmentation.seen_share == 0.95
    assert STRONG.seen_share == 1.0
