"""What `dial replay robot` plays, and on which scene."""

from dial_core.bags.synthetic import record
from dial_core.importers.joint_targets import recorded_scene, recorded_targets


def test_the_scene_is_the_one_that_the_recording_names(tmp_path):
    assert recorded_scene(record(tmp_path / "a", seconds=1, label="PlacematToPlate_000007"), 0) == ("PlacematToPlate", 7)
    assert recorded_scene(record(tmp_path / "b", seconds=1, task="CupToDrawerClose", seed="12"), 0) == ("CupToDrawerClose", 12)
    for label in ("NoSuchTask_000007", "episode_003", ""):
        assert recorded_scene(record(tmp_path / f"c{label}", seconds=1, label=label), 0) == ("", None)


def test_a_dataset_remembers_it_too(tmp_path, fake_dataset):
    from dial_core.importers.bag.conversion import BagConversion, convert_bags

    record(tmp_path / "bag", label="PlacematToPlate_000007")
    convert_bags([tmp_path / "bag"], tmp_path / "out", BagConversion(), workers=0)
    assert recorded_scene(tmp_path / "out", 0) == ("PlacematToPlate", 7)
    targets, robot = recorded_targets(tmp_path / "out", 0)
    assert (robot, targets.shape[1]) == ("gr1", 29)
    assert recorded_scene(fake_dataset(tmp_path / "collected").folder, 1) == ("PlacematToPlate", 1)
