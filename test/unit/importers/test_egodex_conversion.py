"""EgoDex recordings with poses chosen so that every number can be worked out by hand.

The camera faces the world's -z (ARKit's forward), level, from 1.5 m above the floor; the camera's axes in the world
are then: right +x, down -y, forward -z.
"""

import fcntl

import h5py
import numpy as np
import pytest

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.egodex.egodex_conversion import EgoDexConversion, convert_egodex, held
from dial_core.importers.egodex.human_frames import EYE_IN_BASE_M, frame_from_world
from dial_core.importers.egodex.recording import find_recordings, instruction_of

from .source_files import write_egodex

LEVEL = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])  # columns: right, down, forward in the world
FRAMES = 7  # 30 Hz: 5 steps at 20 Hz, of which the last is the action of the fourth


def poses(rotation: np.ndarray, positions) -> np.ndarray:
    """(F, 4, 4) of one rotation and positions (F, 3) or (3,)."""
    result = np.tile(np.eye(4), (FRAMES, 1, 1))
    result[:, :3, :3], result[:, :3, 3] = rotation, positions
    return result


def person(eye=(0.0, 1.5, 0.0), rotation=LEVEL) -> dict[str, np.ndarray]:
    """The left hand rests 0.4 m ahead, 0.3 m to the left and 0.5 m below the eye; the right one moves ahead by 1 cm a frame."""
    right = np.array([[0.2, 1.0, -0.4 - 0.01 * frame] for frame in range(FRAMES)])
    return {"camera": poses(rotation, eye), "leftHand": poses(np.eye(3), [-0.3, 1.0, -0.4]), "rightHand": poses(np.eye(3), right)}


def convert(tmp_path, frame: str = "robot", **settings) -> LeRobotDataset:
    convert_egodex([tmp_path / "part1"], tmp_path / "out", EgoDexConversion(frame, **settings), workers=0)
    return LeRobotDataset(tmp_path / "out")


def test_in_the_first_cameras_frame_x_is_right_y_down_z_ahead(tmp_path):
    write_egodex(tmp_path / "part1/basic_pick_place", 0, person(), llm_description="Put the cup on the plate.")
    dataset = convert(tmp_path, "camera")
    assert dataset.states.shape == dataset.actions.shape == (4, 18)
    np.testing.assert_allclose(dataset.states[0, :3], [-0.3, 0.5, 0.4], atol=1e-6)
    # world's x and y axes in the camera: (1, 0, 0) and (0, -1, 0)
    np.testing.assert_allclose(dataset.states[0, 3:9], [1, 0, 0, 0, -1, 0], atol=1e-6)
    # right hand ahead at samples 0, 1.5, 3, 4.5: 0.4, 0.415, 0.43, 0.445 m
    np.testing.assert_allclose(dataset.states[:, 11], [0.4, 0.415, 0.43, 0.445], atol=1e-6)
    np.testing.assert_allclose(dataset.actions[:, 11], [0.415, 0.43, 0.445, 0.46], atol=1e-6)


def test_in_the_robots_frame_x_is_ahead_y_left_z_up_and_the_eye_is_the_robots(tmp_path):
    write_egodex(tmp_path / "part1/basic_pick_place", 0, person(), llm_description="Put the cup on the plate.")
    dataset = convert(tmp_path)
    eye = np.array(EYE_IN_BASE_M)
    np.testing.assert_allclose(dataset.states[0, :3], eye + np.array([0.4, 0.3, -0.5]), atol=1e-6)
    np.testing.assert_allclose(dataset.states[0, 9:12], eye + np.array([0.4, -0.2, -0.5]), atol=1e-6)
    # the world's x axis points to the person's right: -y of the robot; the world's y axis points up: z
    np.testing.assert_allclose(dataset.states[0, 3:9], [0, -1, 0, 0, 0, 1], atol=1e-6)


def test_the_robots_frame_stays_level_when_the_head_is_bowed_and_turned():
    pitch, yaw = 0.9, 0.4
    bow = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    camera = poses(turn @ LEVEL @ bow.T, [1.0, 1.4, 2.0])[0]
    transform = frame_from_world(camera, "robot")
    np.testing.assert_allclose(transform[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose((transform @ camera)[:3, 3], EYE_IN_BASE_M, atol=1e-12)
    ahead = transform[:3, :3] @ camera[:3, 2]
    assert ahead[1] == pytest.approx(0.0)
    assert ahead[0] > 0
    assert np.linalg.det(transform[:3, :3]) == pytest.approx(1.0)


def test_a_camera_that_points_straight_down_faces_where_the_images_top_points():
    # forward is -y; the image's top (-down) points to -z, so ahead is -z
    down = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    transform = frame_from_world(poses(down, 0.0)[0], "robot")
    np.testing.assert_allclose(transform[:3, :3] @ [0, 0, -1], [1, 0, 0], atol=1e-12)


def test_poses_stay_in_the_first_frame_while_the_head_moves(tmp_path):
    moving = person()
    moving["camera"] = poses(LEVEL, np.array([[0.05 * frame, 1.5, 0.0] for frame in range(FRAMES)]))
    write_egodex(tmp_path / "part1/fold", 0, moving, llm_description="Fold.")
    dataset = convert(tmp_path, "camera")
    np.testing.assert_allclose(dataset.states[:, :3], np.tile([-0.3, 0.5, 0.4], (4, 1)), atol=1e-6)


def test_unsure_wrists_are_held_in_the_state_and_masked_in_the_action(tmp_path):
    confidence = {"leftHand": np.ones(FRAMES), "rightHand": np.array([1, 1, 1, 0.2, 1, 1, 1])}
    write_egodex(tmp_path / "part1/pour", 0, person(), confidence, llm_description="Pour.")
    dataset = convert(tmp_path, "camera")
    # steps at samples 0, 1.5, 3, 4.5, 6; sample 3 is unsure: the actions of steps 1 (to 2) and 2 (to 3) do not count
    assert dataset.action_mask is not None
    assert dataset.action_mask[:, 9:].min(1).tolist() == dataset.action_mask[:, 9:].max(1).tolist() == [1, 0, 0, 1]
    assert (dataset.action_mask[:, :9] == 1).all()
    np.testing.assert_allclose(dataset.states[2, 11], 0.42, atol=1e-6)  # held at sample 2


def test_without_confidences_a_pose_that_is_not_finite_is_unsure(tmp_path):
    lost = person()
    lost["rightHand"][:, 0, 3] = np.nan
    write_egodex(tmp_path / "part1/pour", 0, lost, llm_description="Pour.")
    dataset = convert(tmp_path)
    assert np.isfinite(dataset.states).all()
    assert (dataset.action_mask[:, 9:] == 0).all()
    np.testing.assert_allclose(dataset.states[0, 9:12], [0.25, -0.2, 0.1], atol=1e-6)  # a hand never seen lies on the table


@pytest.mark.parametrize("shape", [(FRAMES,), (FRAMES, 1), ()])
def test_confidences_may_be_a_column_or_one_for_all(tmp_path, shape):
    write_egodex(tmp_path / "part1/pour", 0, person(), {"leftHand": np.full(shape, 0.9), "rightHand": np.full(shape, 0.1)})
    dataset = convert(tmp_path)
    assert (dataset.action_mask[:, :9] == 1).all()
    assert (dataset.action_mask[:, 9:] == 0).all()


def edited(name: str, edit) -> dict[str, np.ndarray]:
    found = person()
    found[name] = edit(found[name].copy())
    return found


def zeroed(values: np.ndarray) -> np.ndarray:
    values[0] = 0
    return values


@pytest.mark.parametrize(
    ("poses", "confidences", "words"),
    [
        (edited("camera", zeroed), None, "the first frame has no camera pose"),
        (edited("rightHand", lambda values: values[:-2]), None, "have 7, 7 and 5 frames"),
        (edited("rightHand", lambda values: values[:, :3]), None, r"transforms/rightHand must be \(frames, 4, 4\), got \(7, 3, 4\)"),
        (edited("rightHand", lambda values: values[:0]), None, "have 7, 7 and 0 frames"),
        (person(), {"leftHand": np.ones(FRAMES - 2)}, "confidences/leftHand has 5 values for 7 frames"),
        (person(), {"leftHand": np.full(FRAMES, 85.0)}, "confidences/leftHand reaches 85; confidences lie between 0 and 1"),
    ],
)
def test_what_is_no_pose_is_refused_with_the_reason(tmp_path, poses, confidences, words):
    write_egodex(tmp_path / "part1/pour", 0, poses, confidences)
    with pytest.raises(DialError, match=words):
        convert(tmp_path)


def test_a_wrist_that_is_no_rigid_transform_is_unsure_and_one_that_nearly_is_is_made_rigid(tmp_path):
    found = person()
    found["rightHand"][3] = 0
    found["leftHand"][:, :3, :3] *= 1.02
    write_egodex(tmp_path / "part1/pour", 0, found)
    dataset = convert(tmp_path)
    assert dataset.action_mask[:, 9:].max(1).tolist() == [1, 0, 0, 1]  # steps at samples 0, 1.5, 3, 4.5, 6
    np.testing.assert_allclose(dataset.states[0, 3:9], [0, -1, 0, 0, 0, 1], atol=1e-6)


def test_a_recording_that_was_cut_off_is_named(tmp_path):
    file = write_egodex(tmp_path / "part1/pour", 0, person())
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(DialError, match=r"0\.hdf5 cannot be read: .*is it complete"):
        convert(tmp_path)


def test_before_the_first_sure_frame_the_first_sure_pose_stands():
    wrist = poses(np.eye(3), np.arange(FRAMES)[:, None] * [1.0, 0, 0])
    sure = np.array([False, False, True, False, True, False, False])
    assert held(wrist, sure, np.eye(4))[:, 0, 3].tolist() == [2, 2, 2, 2, 4, 4, 4]


def test_frames_are_those_of_the_steps_between_black_bars(tmp_path):
    write_egodex(tmp_path / "part1/pour", 0, person(), llm_description="Pour.")
    dataset = convert(tmp_path)
    frames = dataset.frames(dataset.episodes[0])
    assert frames.shape == (4, 96, 96, 3)
    np.testing.assert_allclose(frames[:, 48, 48, 0], [0, 10, 30, 40], atol=3)
    assert frames[:, :10].max() < 12


def test_the_words_of_a_reversible_task_are_those_of_its_direction():
    both = {"llm_type": "reversible", "llm_description": "Plug in.", "llm_description2": "Unplug."}
    assert instruction_of(both | {"which_llm_description": "2"}, "plug") == "Unplug."
    assert instruction_of(both | {"which_llm_description": "1"}, "plug") == "Plug in."
    assert instruction_of({key: both[key] for key in both if key != "llm_type"} | {"which_llm_description": "2"}, "plug") == "Unplug."
    assert instruction_of({"llm_description": h5py.Empty("S10")}, "insert_plug") == "insert plug"
    assert instruction_of({"description": "Old words."}, "plug") == "Old words."
    assert instruction_of({}, "insert_remove_plug") == "insert remove plug"


def test_recordings_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2):
        write_egodex(tmp_path / "part1/pour", number, person())
    assert [file.stem for file in find_recordings([tmp_path])] == ["2", "10"]


def test_what_cannot_be_used_is_named(tmp_path):
    write_egodex(tmp_path / "part1/pour", 0, person(), llm_description="Pour.")
    write_egodex(tmp_path / "part1/pour", 1, person(), llm_description="Pour.").with_suffix(".mp4").unlink()
    blind = {"leftHand": np.zeros(FRAMES), "rightHand": np.zeros(FRAMES)}
    write_egodex(tmp_path / "part1/pour", 2, person(), blind)
    one_hand = person()
    del one_hand["leftHand"]
    write_egodex(tmp_path / "part1/pour", 3, one_hand)
    (tmp_path / "part1/pour/4.hdf5").write_bytes(b"no hdf5")
    report = convert_egodex([tmp_path / "part1"], tmp_path / "out", EgoDexConversion(), workers=0)
    assert report.converted == 1
    assert "1.mp4 is missing" in report.left_out["pour/1"]
    assert "no wrist pose reaches confidence 0.5" in report.left_out["pour/2"]
    assert "transforms/leftHand" in report.left_out["pour/3"]
    assert "4.hdf5 cannot be read" in report.left_out["pour/4"]


def test_a_folder_without_recordings_is_named(tmp_path):
    with pytest.raises(DialError, match="no EgoDex recording"):
        convert_egodex([tmp_path], tmp_path / "out", EgoDexConversion(), workers=0)


def test_what_macos_leaves_beside_a_recording_is_none(tmp_path):
    write_egodex(tmp_path / "part1/pour", 0, person())
    (tmp_path / "part1/pour/._0.hdf5").write_bytes(b"\x00\x05\x16\x07")
    assert [file.name for file in find_recordings([tmp_path])] == ["0.hdf5"]


def test_a_recording_on_a_disk_that_refuses_locks_is_read(tmp_path):
    file = write_egodex(tmp_path / "part1/pour", 0, person())
    with file.open("rb+") as held_by_another:
        fcntl.flock(held_by_another, fcntl.LOCK_EX)
        assert len(convert(tmp_path).episodes) == 1


def test_a_wrist_far_from_the_head_is_lost_tracking(tmp_path):
    found = person()
    found["rightHand"][3, :3, 3] = 100.0
    write_egodex(tmp_path / "part1/pour", 0, found)
    dataset = convert(tmp_path)
    assert dataset.action_mask[:, 9:].max(1).tolist() == [1, 0, 0, 1]
    assert np.abs(dataset.states[:, 9:12]).max() < 2


def _millimetres(values: np.ndarray) -> np.ndarray:
    values[:, :3, 3] *= 1000
    return values


@pytest.mark.parametrize(
    ("change", "words"),
    [(_millimetres, "no wrist is within 2 m of the camera; positions are in metres"), (lambda v: np.swapaxes(v, 1, 2), "no camera pose")],
)
def test_other_units_and_transposed_poses_are_refused(tmp_path, change, words):
    write_egodex(tmp_path / "part1/pour", 0, {name: change(values.copy()) for name, values in person().items()})
    with pytest.raises(DialError, match=words):
        convert(tmp_path)


@pytest.mark.parametrize("which", [2, 2.0, "2", np.float64(2)])
def test_the_direction_may_be_written_as_any_number(which):
    attributes = {"llm_type": "reversible", "which_llm_description": which, "llm_description": "Open.", "llm_description2": "Close."}
    assert instruction_of(attributes, "x") == "Close."


def test_words_that_are_not_utf_8_are_read_as_latin_1():
    assert instruction_of({"llm_description": "Tür öffnen".encode("latin-1")}, "x") == "Tür öffnen"


def test_the_ending_of_a_video_may_be_in_capitals(tmp_path):
    file = write_egodex(tmp_path / "part1/pour", 0, person())
    file.with_suffix(".mp4").rename(file.with_suffix(".MP4"))
    assert len(convert(tmp_path).episodes) == 1


def test_recordings_behind_a_link_to_another_disk_are_found(tmp_path):
    write_egodex(tmp_path / "disk/pour", 0, person())
    (tmp_path / "part1").mkdir()
    (tmp_path / "part1/pour").symlink_to(tmp_path / "disk/pour")
    assert [file.parent.name for file in find_recordings([tmp_path / "part1"])] == ["pour"]


def test_at_30_hz_every_frame_is_kept(tmp_path):
    write_egodex(tmp_path / "part1/pour", 0, person(), llm_description="Pour.")
    dataset = convert(tmp_path, "camera", rate_hz=30.0)
    assert dataset.rate_hz == 30
    np.testing.assert_allclose(dataset.states[:, 11], [0.4, 0.41, 0.42, 0.43, 0.44, 0.45], atol=1e-6)
    np.testing.assert_allclose(dataset.actions[:, 11], [0.41, 0.42, 0.43, 0.44, 0.45, 0.46], atol=1e-6)


@pytest.mark.parametrize("rate_hz", [-1.0, 60.0])
def test_a_rate_that_the_recordings_do_not_have_is_refused(tmp_path, rate_hz):
    write_egodex(tmp_path / "part1/pour", 0, person(), llm_description="Pour.")
    with pytest.raises(DialError, match="recordings have 30 frames a second"):
        convert(tmp_path, rate_hz=rate_hz)
