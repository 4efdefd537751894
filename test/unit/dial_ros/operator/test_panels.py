"""What the panels compute before anything is drawn: charts, bones, episodes, suggestions.

pytest test/unit/dial_ros/operator/test_panels.py
"""

import json

import mujoco
import numpy as np
import pytest

from dial_core.control.motion import NANOSECONDS
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics, LinkPositions
from dial_core.sim.world import World
from dial_ros.operator.act_panels import episode_rows
from dial_ros.operator.actions import Actions, Scene
from dial_ros.operator.charts import error_series, motion_options, motion_series
from dial_ros.operator.commanded_motion import CommandedMotion
from dial_ros.operator.episode_list import RecordedEpisode, recent_episodes
from dial_ros.operator.robot_panel import along, bone_calls
from dial_ros.operator.robot_view import Seen, note_joints
from dial_ros.operator.scene_suggestions import suggestions_of

ROBOT = load_embodiment("gr1")


def test_a_joints_chart_has_its_curve_relative_to_now_and_the_limit_that_is_near():
    seen, joint = Seen(), ROBOT.joints[3]
    for k in range(5):
        note_joints(seen, (100 + k) * NANOSECONDS, np.full(len(ROBOT.joints), joint.upper - 0.1))
    options = motion_series(seen, CommandedMotion(ROBOT), joint, 3)
    assert options["series"][0]["data"][0][0] == -4.0
    assert options["series"][0]["data"][-1] == [0.0, pytest.approx(joint.upper - 0.1, abs=1e-4)]
    labels = [mark["label"]["formatter"] for mark in options["series"][0]["markLine"]["data"]]
    assert labels == ["now", "upper limit"]
    assert options["yAxis"]["max"] >= round(joint.upper, 2)
    json.dumps(options | motion_options("joint"))
    assert motion_series(Seen(), CommandedMotion(ROBOT), joint, 3) == {"series": []}


def test_joints_of_before_the_clock_went_back_and_old_ones_are_dropped():
    seen = Seen()
    for stamp_s in (1, 2, 9, 10):
        note_joints(seen, stamp_s * NANOSECONDS, np.zeros(1))
    assert [stamp_ns // NANOSECONDS for stamp_ns, _ in seen.joints] == [9, 10]
    note_joints(seen, 0, np.zeros(1))
    assert len(seen.joints) == 1


def test_the_errors_curve_ends_now():
    seen = Seen(clock_s=lambda: 100.0)
    seen.errors.extend([(10.0, 1.0, 1.0), (99.5, 0.1, 0.2)])
    assert [curve["data"] for curve in error_series(seen)["series"]] == [[[-0.5, 0.1]], [[-0.5, 0.2]]]


def test_links_lie_where_mujoco_has_them():
    world = World("PlacematToPlate")
    joints = np.clip(ROBOT.home_position + 0.3, ROBOT.lower, ROBOT.upper)
    world.put_robot(joints)
    positions = LinkPositions(ROBOT)(joints)
    names = {mujoco.mj_id2name(world.model, mujoco.mjtObj.mjOBJ_BODY, body): body for body in range(world.model.nbody)}
    base = world.data.xpos[names[ROBOT.base]]
    compared = [(positions[k], world.data.xpos[names[link.body]] - base) for k, link in enumerate(ROBOT.links) if link.body in names]
    assert len(compared) > 15
    np.testing.assert_allclose(*map(np.array, zip(*compared, strict=True)), atol=1e-6)
    wrist = [link.body for link in ROBOT.links].index(ROBOT.wrists.right)
    np.testing.assert_allclose(positions[wrist], ForwardKinematics(ROBOT).wrist_poses(joints)[9:12], atol=1e-9)
    world.close()


@pytest.mark.parametrize("direction", [(0, 1, 0), (0, -1, 0), (1, 0, 0), (0.3, -0.2, 0.9)])
def test_a_cylinder_is_turned_along_its_bone(direction):
    rotation = along(np.array(direction, float))
    np.testing.assert_allclose(rotation @ [0, 1, 0], np.array(direction) / np.linalg.norm(direction), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_a_bone_lies_between_its_ends():
    calls = bone_calls(["id"], [(1, 0)], np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    assert calls[0] == ["move", "id", 0.0, 0.0, 1.0]
    assert calls[1][:2] == ["rotate", "id"]


def test_a_folder_without_bags_has_no_episodes(tmp_path):
    (tmp_path / "no_bag").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metadata.yaml").write_text("nonsense")
    assert recent_episodes(tmp_path) == []
    assert recent_episodes(tmp_path / "nowhere") == []
    assert episode_rows([]) == "none yet"


def test_an_episodes_row_has_a_symbol_beside_the_colour_and_no_markup_of_its_own():
    html = episode_rows([RecordedEpisode("episode_000", "<b>put</b>", "success", ""), RecordedEpisode("episode_001", "", "unknown", "")])
    assert "✔ success" in html
    assert "? unknown" in html
    assert "&lt;b&gt;put" in html


def test_every_object_of_a_scene_has_its_instruction():
    seed = next(seed for seed in range(100_000, 100_050) if len(suggestions_of(Scene("PlacematToPlate", seed), "")) == 2)
    first, second = suggestions_of(Scene("PlacematToPlate", seed), "")
    assert first != second
    assert suggestions_of(Scene("PlacematToPlate", seed), "own words") == ["own words", first, second]
    assert suggestions_of(Scene("", seed), "own words") == ["own words"]
    assert suggestions_of(Scene("no such task", seed), "") == []


def test_a_teleoperated_robot_is_not_reset_to_a_scene_of_the_evaluation(monkeypatch):
    actions, answers, sent = Actions.__new__(Actions), [], []
    monkeypatch.setattr(actions, "_unless_read_only", lambda service, request, *_: sent.append(request.seed), raising=False)
    for moved_by in ("teleoperation/stop", "system1/estop"):
        monkeypatch.setattr(actions, "available", lambda service, moved_by=moved_by: service == moved_by)
        for seed in (99_999, 100_000):
            actions.reset_world("somebody", Scene(seed=seed), lambda answer, _: answers.append(answer))
    assert sent == [99_999, 99_999, 100_000]
    assert [answer.granted for answer in answers] == [False]
    assert "seed 100000 is reserved for evaluation" in answers[0].text
