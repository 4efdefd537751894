"""A dry run: trajectories that no controller executes, and that neither a report nor the guard judges.

pytest test/unit/dial_ros/bringup/test_dry_run.py
"""

from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.graph import graph


def test_a_dry_run_sends_every_trajectory_aside_and_hears_no_report_of_a_controller_that_gets_none():
    for kind, sender in (("sim", "system1"), ("humanoid", "system1"), ("record", "recorder")):
        remapped = {node.name: node.remappings for node in graph(kind, dry_run="true")}
        controllers = load_embodiment("gr1").controllers
        topics = [f"{c.name}/{kind}" for c in controllers for kind in ("joint_trajectory", "controller_state", "reference")]
        assert remapped.pop(sender) == {topic: f"dry_run/{topic}" for topic in topics}
        assert not any(remapped.values())


def test_a_dry_run_also_sends_controllers_with_absolute_names_aside():
    nodes = {node.name: node for node in graph("humanoid", controllers="waist_controller=/torso/jtc", dry_run=True)}
    assert nodes["system1"].remappings["waist_controller/joint_trajectory"] == "dry_run/torso/jtc/joint_trajectory"
    assert all(topic.startswith("dry_run/") for topic in nodes["system1"].remappings.values())
    assert nodes["system1"].remappings["waist_controller/controller_state"] == "dry_run/torso/jtc/controller_state"


def test_in_a_dry_run_the_guard_sends_what_passes_aside():
    guard = next(node for node in graph("sim", guard=True, dry_run=True) if node.name == "guard")
    assert all(theirs.startswith("dry_run/") for theirs in guard.remappings.values())
    assert sum(ours.endswith("/joint_trajectory") for ours in guard.remappings) == len(load_embodiment("gr1").controllers)


def test_the_guard_judges_no_trajectory_that_no_controller_executes_since_the_joints_do_not_follow():
    aside = "waist_controller=dry_run/waist,left_arm_controller=/dry_run/left"
    nodes = {node.name: node.remappings for node in graph("sim", guard=True, controllers=aside)}
    assert nodes["system1"]["waist_controller/joint_trajectory"] == "dry_run/waist/joint_trajectory"
    assert nodes["system1"]["left_arm_controller/joint_trajectory"] == "/dry_run/left/joint_trajectory"
    assert nodes["system1"]["right_arm_controller/joint_trajectory"] == "guarded/right_arm_controller/joint_trajectory"
    assert nodes["guard"]["waist_controller/joint_trajectory"] == "dry_run/guard/waist_controller/joint_trajectory"
    assert "right_arm_controller/joint_trajectory" not in nodes["guard"]
    assert nodes["system1"]["waist_controller/reference"] == "dry_run/waist/reference", "one that gets nothing reports to stand still"
    whole = {node.name: node.remappings for node in graph("sim", guard=True, dry_run=True)}
    assert whole["system1"]["waist_controller/joint_trajectory"] == "dry_run/waist_controller/joint_trajectory"
