"""What `dial convert lerobot` and `egodex` show before they begin."""

import json

import numpy as np

from dial_core.cli.survey_table import print_found
from dial_core.importers.egodex.egodex_conversion import EgoDexConversion
from dial_core.importers.egodex.egodex_survey import find_in_recordings
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion
from dial_core.importers.lerobot.lerobot_survey import find_in_datasets

from .source_files import write_egodex, write_gr00t_set

ROBOCASA = LeRobotConversion("robocasa_gr1")


def test_datasets_say_which_of_their_parts_become_what(tmp_path, capsys):
    first, second = (write_gr00t_set(tmp_path / name, rate_hz=30.0) for name in ("first", "second"))
    info = json.loads((second / "meta/info.json").read_text())
    key = "observation.images.depth"
    info["features"][key] = {"dtype": "video", "shape": [16, 16, 3], "info": {"video.is_depth_map": True}}
    (second / "meta/info.json").write_text(json.dumps(info))
    found = find_in_datasets([first, second, tmp_path / "nothing"], ROBOCASA)
    plain, deep, wrong = sorted(found.groups, key=lambda group: (bool(group.problem), len(group.unused)))
    assert plain.sources == ["first"]
    assert ("episodes", "LeRobot v2.0, 30 Hz, brought to 20 Hz") in plain.uses
    assert ("camera ego", "observation.images.ego_view 16x16, stored 96x96 (crop)") in plain.uses
    assert ("joints of left_arm", "observation.state: left_arm") in plain.uses
    assert ("actions of waist", "action: waist") in plain.uses
    assert ("wrist poses", "forward kinematics of gr1") in plain.uses
    assert plain.uses[-1] == ("instruction", "annotation.human.coarse_action, e.g. 'unlocked_waist: pick the cup'")
    assert plain.unused["observation.state: neck"] == "no joint group of gr1 needs it"
    assert plain.counts == {"LeRobot v2.0, 30 Hz, brought to 20 Hz": 7}
    assert deep.unused.keys() - plain.unused.keys() == {key}
    assert "meta/info.json is missing" in wrong.problem
    print_found(found)
    assert "datasets found: 3" in capsys.readouterr().err


def test_recordings_say_what_of_them_is_used_and_which_lack_their_video(tmp_path):
    poses = dict.fromkeys(("camera", "leftHand", "rightHand", "leftThumbTip"), np.tile(np.eye(4), (5, 1, 1)))
    for number in range(3):
        write_egodex(tmp_path / "pour", number, poses, {"leftHand": np.ones(5)}, llm_description="Pour the water.")
    (tmp_path / "pour/2.mp4").unlink()
    whole, blind = find_in_recordings([tmp_path], EgoDexConversion()).groups
    assert whole.sources == ["pour/0", "pour/1"]
    assert ("head camera", "N.mp4, stored 96x96 (pad)") in whole.uses
    assert ("mask", "confidences below 0.5") in whole.uses
    assert ("instruction", "e.g. 'Pour the water.'") in whole.uses
    assert whole.unused == {"transforms of other joints": "the embodiment 'human' has wrists only"}
    as_released = EgoDexConversion(rate_hz=30.0, crop=(0.3, 0.0, 0.7, 1.0), fit="stretch")
    uses = find_in_recordings([tmp_path], as_released).groups[0].uses
    assert ("head camera", "N.mp4, stored 96x96 (stretch, rows 30% to 100%, columns 0% to 100%)") in uses
    assert ("action", "the next state; 30 Hz, every frame") in uses
    assert (blind.sources, blind.problem) == (["pour/2"], "N.mp4 is missing beside N.hdf5")
