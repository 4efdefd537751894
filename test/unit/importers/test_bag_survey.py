"""Before the work: what was found, how it will be used, what will not and why."""

from dial_core.bags.synthetic import COMMANDS, CONTROLLER, IMAGE, JOINTS, record
from dial_core.cli.survey_table import print_found
from dial_core.importers.bag.conversion import BagConversion, find_bags
from dial_core.importers.bag.resampling import Resampling
from dial_core.importers.bag.survey import find_in_bags

from .recordings import camera_and_joints, text, write


def test_bags_that_are_used_alike_stand_together_and_problems_last(tmp_path, capsys):
    record(tmp_path / "a", seconds=2)
    record(tmp_path / "b", seconds=2)
    record(tmp_path / "blind", seconds=1, topics=(JOINTS,))
    write(tmp_path / "string", [*camera_and_joints(1), text("/task", 0.1, "put the can"), text("/log", 0.2, "x")])
    found = find_in_bags(find_bags([tmp_path]), BagConversion())
    groups = found.groups
    assert [group.sources for group in groups] == [["a", "b"], ["string"], ["blind"]]
    alike, string, blind = groups
    assert ("camera ego", IMAGE) in alike.uses
    assert (f"actions of {CONTROLLER.name}", COMMANDS) in alike.uses
    assert ("actions of waist_controller", "none: the joints measured a step later") in alike.uses
    assert alike.uses[-1] == ("instruction", "as the recorder noted")
    assert alike.counts[JOINTS] == 400
    assert string.uses[-1] == ("instruction", "/task")
    assert string.unused == {"/log": "std_msgs/msg/String is not needed"}
    assert "no topic /image/ego" in blind.problem
    print_found(found)
    shown = capsys.readouterr().err
    assert "bags found: 4" in shown
    assert "nothing: " in shown


def test_states_as_actions_need_no_commands(tmp_path):
    (group,) = find_in_bags([record(tmp_path / "a", seconds=1)], BagConversion(resampling=Resampling(actions="next"))).groups
    assert (f"actions of {CONTROLLER.name}", "none: the joints measured a step later") in group.uses
