"""From a camera's picture to the model's view."""

import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.observation.camera_view import CameraView, fit_view


def view(height=96, width=96, crop=None):
    return CameraView(name="ego", height=height, width=width, crop=crop)


def gradient(height, width):
    """Red grows to the right, green downwards."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return pixels


def test_a_picture_that_fits_is_handed_through_untouched():
    pixels = gradient(96, 96)
    assert np.shares_memory(fit_view(pixels, view()), pixels)


def test_a_wider_picture_is_cropped_in_its_middle_and_scaled():
    seen = fit_view(gradient(480, 640), view())
    assert seen.shape == (96, 96, 3)
    # 80 px are cut off at each side.
    assert seen[48, 0, 0] == pytest.approx(255 * 82 / 639, abs=2)
    assert seen[48, -1, 0] == pytest.approx(255 * 557 / 639, abs=2)
    assert seen[-1, 48, 1] == pytest.approx(255, abs=3)


def test_the_contracts_crop_is_that_share_of_the_picture():
    seen = fit_view(gradient(400, 400), view(100, 100, (0.5, 0.25, 0.25, 0.25)))
    assert seen.shape == (100, 100, 3)
    assert seen[0, 0, 0] == pytest.approx(255 * 100 / 399, abs=1)
    assert seen[0, 0, 1] == pytest.approx(255 * 200 / 399, abs=1)


def test_a_small_picture_is_enlarged():
    assert fit_view(gradient(48, 48), view()).shape == (96, 96, 3)


@pytest.mark.parametrize("crop", [(0.5, 0.0, 0.6, 1.0), (-0.1, 0.0, 0.5, 0.5), (0.0, 0.0, 0.0, 1.0)])
def test_a_crop_outside_of_the_picture_is_refused(crop):
    with pytest.raises(DialError, match="does not lie within the picture"):
        fit_view(gradient(96, 96), view(crop=crop))
