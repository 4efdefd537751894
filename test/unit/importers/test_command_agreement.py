"""Whether joints went where their commands say, judged on the motions themselves.

pytest test/unit/importers/test_command_agreement.py
"""

import numpy as np
import pytest

from dial_core.importers.command_agreement import beside_rad, contradiction

REACH = np.array([3.0])
LAGS = range(12)


def ramp(to: float, rows: int = 100) -> np.ndarray:
    """Set-points (T, 1) [rad] that rise to `to` over a fifth of the time and stay there."""
    return np.minimum(np.arange(rows) * 5.0 / rows, 1.0)[:, None] * to


def test_a_finger_that_an_object_stops_before_its_set_point_contradicts_nothing():
    wanted = ramp(1.0)
    pressed = np.minimum(wanted, 0.6)
    assert np.median(wanted - pressed) > 0.3
    assert contradiction(wanted, pressed, ["finger"], REACH, LAGS) == ""


@pytest.mark.parametrize("lag", [0, 3, 11])
def test_a_joint_beside_its_set_points_throughout_is_found_at_any_lag(lag):
    wanted = 0.5 * np.sin(np.arange(200) / 10)
    measured = np.roll(wanted, lag)[lag:] + 0.25
    assert beside_rad(wanted[lag:], measured, LAGS) == pytest.approx(0.25, abs=1e-9)
