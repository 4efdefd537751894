import pytest

from dial_core.control.recent_durations import RecentDurations

MS = 1_000_000


def test_the_longest_of_the_last_ten_durations_is_used():
    durations = RecentDurations()
    assert durations.longest_s is None
    for duration_ms in (300, *[100] * 9):
        durations.note(1000 * MS, (1000 + duration_ms) * MS)
    assert durations.longest_s == pytest.approx(0.3)
    durations.note(1000 * MS, 1050 * MS)
    assert durations.longest_s == pytest.approx(0.1), "the slow one drops out after ten more"


def test_a_negative_duration_after_a_clock_jump_is_left_out():
    durations = RecentDurations()
    durations.note(9000 * MS, 100 * MS)
    assert durations.longest_s is None
