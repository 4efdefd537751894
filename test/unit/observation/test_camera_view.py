"""From a camera's image to the model's view."""

import numpy as np
import pytest
from pydantic import ValidationError

from dial_core.errors import DialError
from dial_core.observation.camera_view import CameraView, StoredView, fit_stored, fit_view


def view(height=96, width=96, crop=None, fit="crop"):
    return CameraView(name="ego", height=height, width=width, crop=crop, fit=fit)


def gradient(height, width):
    """Red grows to the right, green downwards."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return pixels


def test_an_image_that_fits_is_passed_on_unchanged():
    pixels = gradient(96, 96)
    assert np.shares_memory(fit_view(pixels, view()), pixels)


@pytest.mark.parametrize("width", [96, 128])
def test_an_image_that_fits_but_is_a_view_of_other_memory_becomes_contiguous(width):
    # What is read from a bgr8 message (its channels reversed), as large as the input and with more at the sides.
    reversed_channels = gradient(96, width)[..., ::-1]
    seen = fit_view(reversed_channels, view())
    assert seen.flags.c_contiguous
    np.testing.assert_array_equal(seen, reversed_channels[:, (width - 96) // 2 :][:, :96])


def test_a_wider_image_is_cropped_to_its_centre_and_scaled():
    seen = fit_view(gradient(480, 640), view())
    assert seen.shape == (96, 96, 3)
    # 80 px are cut off at each side.
    assert seen[48, 0, 0] == pytest.approx(255 * 82 / 639, abs=2)
    assert seen[48, -1, 0] == pytest.approx(255 * 557 / 639, abs=2)
    assert seen[-1, 48, 1] == pytest.approx(255, abs=3)


def test_the_contracts_crop_is_that_share_of_the_image():
    seen = fit_view(gradient(400, 400), view(100, 100, (0.5, 0.25, 0.25, 0.25)))
    assert seen.shape == (100, 100, 3)
    assert seen[0, 0, 0] == pytest.approx(255 * 100 / 399, abs=1)
    assert seen[0, 0, 1] == pytest.approx(255 * 200 / 399, abs=1)


def test_a_small_image_is_enlarged():
    assert fit_view(gradient(48, 48), view()).shape == (96, 96, 3)


@pytest.mark.parametrize("crop", [(0.5, 0.0, 0.6, 1.0), (-0.1, 0.0, 0.5, 0.5), (0.0, 0.0, 0.0, 1.0)])
def test_a_crop_outside_of_the_image_is_refused(crop):
    with pytest.raises(ValidationError, match="does not lie within the image"):
        view(crop=crop)


def test_a_padded_view_shows_all_of_the_image_between_black_bars():
    seen = fit_view(gradient(480, 640) | 1, view(fit="pad"))
    assert not seen[:12].any()
    assert not seen[-12:].any()
    assert seen[12:-12].any(-1).all()
    assert seen[48, -1, 0] == pytest.approx(255, abs=3)


def test_a_stretched_view_shows_all_of_the_image():
    seen = fit_view(gradient(480, 640), view(fit="stretch"))
    assert seen[0, 0, 0] <= 3
    assert seen[-1, -1].tolist() == pytest.approx([255, 255, 0], abs=3)


def test_a_square_stays_a_square_unless_the_view_is_stretched():
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[200:280, 280:360] = 255
    for fit, height, width in (("crop", 16, 16), ("pad", 12, 12), ("stretch", 16, 12)):
        rows, columns = np.nonzero(fit_view(pixels, view(fit=fit))[..., 0] > 127)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (height, width), fit


def stored(fit="crop", crop=None, size=96, source=(480, 640)):
    return StoredView(name="ego", height=size, width=size, crop=crop, fit=fit, source_sizes=(source,))


def test_frames_that_were_stored_as_the_model_sees_them_are_not_fitted_again():
    pixels = gradient(96, 96)
    assert np.shares_memory(fit_view(pixels, fit_stored(view(), stored())), pixels)
    assert fit_view(gradient(192, 192), fit_stored(view(), stored(size=192))).shape == (96, 96, 3)


def test_of_a_square_camera_every_fit_shows_the_same():
    fit_stored(view(fit="pad"), stored("crop", source=(480, 480)))


@pytest.mark.parametrize("other", [stored("pad"), stored("stretch"), stored(crop=(0.0, 0.0, 0.5, 0.5))])
def test_frames_that_show_another_part_are_refused(other):
    with pytest.raises(DialError, match=r"the dataset's frames were stored as .* of 480x640 images, the model sees 96x96"):
        fit_stored(view(), other)
