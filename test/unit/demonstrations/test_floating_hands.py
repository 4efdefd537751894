from types import SimpleNamespace

import numpy as np
import pytest

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.demonstrations import floating_hands
from dial_core.demonstrations.floating_hands import SKIN_RGB, HandsWorld, film_hands
from dial_core.errors import DialError
from dial_core.files.fingerprint import require_same
from dial_core.importers.egodex.human_frames import EYE_IN_BASE_M


def test_a_person_has_hands_of_skin_and_nothing_else_of_the_robot():
    world = HandsWorld("PlacematToPlate")
    model = world.model
    seen = {model.body(model.geom_bodyid[geom]).name: model.geom_rgba[geom] for geom in range(model.ngeom)}
    np.testing.assert_allclose(seen["r_palm"], (*SKIN_RGB, 1.0), atol=1e-6)
    np.testing.assert_allclose(seen["L_index_proximal_link"], (*SKIN_RGB, 1.0), atol=1e-6)
    assert seen["torso_waist_roll"][3] == seen["r_lower_arm_pitch"][3] == 0.0
    assert seen["world"][3] == 1.0  # the table


def test_the_eye_of_human_data_is_the_robots_head_camera():
    world = HandsWorld("PlacematToPlate")
    world.put_robot(world.embodiment.home_position)
    np.testing.assert_allclose(world.data.camera("ego").xpos, EYE_IN_BASE_M, atol=1e-3)


def test_filmed_hands_are_episodes_of_wrists_whose_action_is_the_next_state(tmp_path):
    assert film_hands("PlacematToPlate", 1, 50_000, tmp_path / "hands", workers=0) == 1
    dataset = LeRobotDataset(tmp_path / "hands")
    assert dataset.info["robot_type"] == "human"
    assert dataset.states.shape[1] == 18
    np.testing.assert_array_equal(dataset.states[1:], dataset.actions[:-1])
    assert np.linalg.norm(np.ptp(dataset.states[:, 9:12], axis=0)) > 0.1  # the right hand went somewhere
    assert (dataset.action_mask == 1).all()


def test_hands_at_another_task_of_the_same_name_are_not_filmed_into_the_same_dataset(tmp_path):
    require_same(tmp_path / "hands.attempts", {"task": "PlacematToPlate", "seed": 50_000, "contents": "another", "sources": "another"})
    with pytest.raises(DialError, match="contents was another"):
        film_hands("PlacematToPlate", 1, 50_000, tmp_path / "hands", workers=0)


def test_a_scene_in_flight_when_it_was_killed_is_tried_though_enough_later_ones_have_succeeded(tmp_path, monkeypatch):
    folder, tried = tmp_path / "hands.attempts", []
    folder.mkdir()
    for seed in (0, 2, 3):
        (folder / f"{seed:06d}.npz").touch()

    def film(job):
        tried.append(job.seed)

    monkeypatch.setattr(floating_hands, "film", film)
    monkeypatch.setattr(floating_hands, "_world", lambda task: SimpleNamespace(image_size=96))
    monkeypatch.setattr(floating_hands, "write_dataset", lambda out, files, *_: tried.append([int(file.stem) for file in files]))
    assert film_hands("PlacematToPlate", 3, 0, tmp_path / "hands", workers=0) == 3
    assert tried == [1, [0, 1, 2]]
