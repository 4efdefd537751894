"""What `make lerobot` accepts of the judges' findings: only what the dataset's numbers justify.

pytest test/unit/datasets/test_meant_findings.py
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SPEC = importlib.util.spec_from_file_location("meant_findings", Path(__file__).parents[3] / "scripts/meant_findings.py")
meant = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(meant)

NAMES = ("left_wrist_r11", "right_elbow", "left_elbow", "R_index_proximal_joint")
MOVING = np.linspace(0, 1, 20)
STILL = np.zeros(20)


@pytest.fixture
def vectors():
    """Two equal episodes: the right elbow moves, the left one stands still, a finger closes half way."""
    action = np.stack([STILL, MOVING, STILL, np.repeat([0.0, 2.0], 10)], 1)
    rest = np.arange(20) < 10
    state = np.stack([0.1 * MOVING, MOVING, 1e-4 * MOVING, np.where(rest, 0.0, 1.2)], 1)
    columns = {meant.STATE: np.tile(state, (2, 1)), meant.ACTION: np.tile(action, (2, 1)), meant.MASK: np.ones((40, 4))}
    return meant.Vectors(columns, NAMES, np.repeat([0, 1], 20))


def lint(check, joint=None, episode=0, **data):
    return {"check": check, "message": "", "episode": episode, "data": {"joint_index": joint, **data}}


@pytest.mark.parametrize(
    ("finding", "accepted"),
    [
        (lint("DEAD_JOINT", 2), True),
        (lint("DEAD_JOINT", 1), False),  # it was told to move
        (lint("ACTION_STATE_DIVERGENCE", 0), True),
        (lint("ACTION_STATE_DIVERGENCE", 1), False),
        (lint("ACTION_STATE_DIVERGENCE", 3), True),
        (lint("DISCONTINUITY", 2, delta=-1e-4), True),
        (lint("DISCONTINUITY", 1, delta=1.5), False),
        (lint("UNITS_INFERRED", units="radians"), True),
        (lint("UNITS_INFERRED", units="degrees"), False),
        (lint("SOMETHING_NEW"), False),
    ],
)
def test_the_linters_findings_are_accepted_where_the_numbers_agree(vectors, finding, accepted):
    assert bool(meant.reason_of(finding, vectors)) == accepted


@pytest.mark.parametrize(
    ("message", "accepted"),
    [
        ("action[2]: zero variance (constant value 0.0000)", True),
        ("observation.state[1]: zero variance (constant value 0.0000)", False),
        ("action_mask[1]: zero variance (constant value 1.0000)", True),
        ("action_mask[1]: zero variance (constant value 0.0000)", False),
        ("stats.json[action]: 2 dimension(s) have zero std -- normalization will produce NaN/Inf", True),
        ("stats.json[action]: 3 dimension(s) have zero std -- normalization will produce NaN/Inf", False),
        ("action[3]: 52.2% of values at minimum (0.0000)", True),
        ("action[1]: 52.2% of values at maximum (1.0000)", False),
        ("action: 8% of episode 0 is consecutive identical actions (frozen)", True),
        ("observation.state[1]: 1 extreme outlier(s) (>10 std from mean)", False),
        ("action: 4 dimensions is unusually large -- verify this is correct", True),
        ("action: 5 dimensions is unusually large -- verify this is correct", False),
        ("1 near-duplicate episode pair(s) detected: [(0, 1)]", True),
        ("timestamps are not monotonic", False),
    ],
)
def test_the_doctors_findings_are_accepted_where_the_numbers_agree(vectors, message, accepted):
    assert bool(meant.reason_of({"message": message}, vectors)) == accepted


def test_an_episode_that_freezes_half_way_is_not_meant(vectors):
    rows = vectors.columns[meant.ACTION][:20]
    rows[5:15] = rows[5]
    frozen = {"message": "Episode 0: 50% of action frozen (consecutive identical)"}
    assert meant.reason_of(frozen, vectors) == ""


@pytest.mark.parametrize(("turn", "accepted"), [(0.05, True), (0.3, False)])
def test_a_wrist_is_dead_on_purpose_only_as_long_as_it_is_told_to_keep_its_rotation(vectors, turn, accepted):
    vectors.columns[meant.ACTION][:, 0] = np.tile(turn * MOVING, 2)
    assert bool(meant.reason_of(lint("DEAD_JOINT", 0), vectors)) == accepted


def test_different_episodes_are_no_duplicates(vectors):
    vectors.columns[meant.ACTION][20:] += 0.1
    assert meant.reason_of({"message": "1 near-duplicate episode pair(s) detected: [(0, 1)]"}, vectors) == ""
