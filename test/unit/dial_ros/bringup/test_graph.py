"""The graph is plain data (that the launch files start it: test_launching.py)."""

import shutil
from pathlib import Path

import pytest
import yaml

from dial_core.config import config_path, config_root
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.graph import ARGUMENTS, environment, graph
from dial_ros.recorder.recorded_topics import topics_of

ROOT = Path(__file__).resolve().parents[4]


def robot_with_own_topics(folder: Path) -> Path:
    values = yaml.safe_load(config_path("embodiments", "gr1").read_text())
    values["joint_states_topic"] = "/arm_driver/joint_states"
    values["cameras"][0]["topic"] = "/head/color/image_raw"
    path = folder / "my_robot.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_humanoid_is_sim_without_the_simulated_robot():
    sim = {node.name for node in graph("sim")}
    assert sim - {node.name for node in graph("humanoid")} == {"mujoco_robot"}


def test_a_robots_own_topics_become_remappings(tmp_path):
    for node in graph("humanoid", robot=str(robot_with_own_topics(tmp_path))):
        assert node.remappings == {
            "image/ego": "/head/color/image_raw",
            "image/ego/compressed": "/head/color/image_raw/compressed",
            "joint_states": "/arm_driver/joint_states",
        }


def test_every_broadcaster_of_joint_states_is_remapped_and_recorded(tmp_path):
    values = yaml.safe_load(config_path("embodiments", "gr1").read_text()) | {"further_joint_states_topics": ["/hands/joint_states"]}
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(values))
    for kind in ("humanoid", "record"):
        assert all(node.remappings["joint_states_2"] == "/hands/joint_states" for node in graph(kind, robot=str(path)))
    assert {"joint_states", "joint_states_2"} <= {topic.name for topic in topics_of(load_embodiment(str(path)))}


def test_topics_that_already_agree_are_not_remapped():
    assert all(node.remappings == {} for node in graph("sim"))


def test_controllers_may_have_names_of_their_own():
    nodes = {node.name: node for node in graph("humanoid", controllers="left_arm_controller=left_jtc, waist_controller=/torso/jtc")}
    assert nodes["system1"].remappings == {
        "left_arm_controller/joint_trajectory": "left_jtc/joint_trajectory",
        "left_arm_controller/controller_state": "left_jtc/controller_state",
        "waist_controller/controller_state": "/torso/jtc/controller_state",
        "waist_controller/joint_trajectory": "/torso/jtc/joint_trajectory",
    }


def test_the_guard_stands_between_system1_and_the_robots_own_controllers():
    nodes = {node.name: node for node in graph("humanoid", guard="true", controllers="waist_controller=/torso/jtc")}
    sent = {ours: theirs for ours, theirs in nodes["system1"].remappings.items() if ours.endswith("/joint_trajectory")}
    assert sent == {f"{c.name}/joint_trajectory": f"guarded/{c.name}/joint_trajectory" for c in load_embodiment("gr1").controllers}
    assert nodes["system1"].remappings["waist_controller/controller_state"] == "/torso/jtc/controller_state"
    assert nodes["guard"].remappings["waist_controller/joint_trajectory"] == "/torso/jtc/joint_trajectory"
    assert nodes["system1"].parameters["splice_lead"] == 0.082, "the guard must have a trajectory well before it takes over"
    unguarded = {node.name: node for node in graph("humanoid")}
    assert "guard" not in unguarded
    assert "splice_lead" not in unguarded["system1"].parameters


def test_a_slower_way_to_the_controllers_lengthens_the_lead_that_the_guard_needs(tmp_path, monkeypatch):
    shutil.copytree(config_root(), tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("DIAL_CONFIG_ROOT", str(tmp_path))
    guard = tmp_path / "nodes" / "guard.yaml"
    guard.write_text(guard.read_text().replace("transport: 0.02", "transport: 0.1").replace("period: 0.01", "period: 0.02"))
    nodes = {node.name: node for node in graph("humanoid", guard="true")}
    assert nodes["system1"].parameters["splice_lead"] == 0.172


def test_every_node_gets_its_enclave():
    nodes = graph("humanoid", enclaves="/dial/", guard=True, page=True, record=True)
    assert {node.enclave for node in nodes} == {f"/dial/{node.name}" for node in nodes}


def test_cameras_may_have_topics_of_their_own():
    for node in graph("humanoid", cameras="ego=/head/color/image_raw"):
        assert node.remappings["image/ego"] == "/head/color/image_raw"
        assert node.remappings["image/ego/compressed"] == "/head/color/image_raw/compressed"


def test_a_simulated_robot_in_a_namespace_has_a_clock_of_its_own_and_a_real_one_has_not():
    assert all(node.remappings["/clock"] == "clock" for node in graph("sim", namespace="left"))
    assert not any("/clock" in node.remappings for node in (*graph("sim"), *graph("humanoid", namespace="left")))


def test_text_from_launch_becomes_typed_parameters():
    robot = next(node for node in graph("sim", seed="100007", scene_camera="true") if node.name == "mujoco_robot")
    assert (robot.parameters["seed"], robot.parameters["scene_camera"]) == (100_007, True)


def test_in_simulation_everything_but_the_clocks_source_follows_the_clock():
    follows = {node.name: node.parameters["use_sim_time"] for node in graph("sim")}
    assert follows == {"mujoco_robot": False, "system1": True, "system2": True}


@pytest.mark.parametrize(
    ("kind", "chosen", "named"),
    [
        ("moon", {}, "humanoid"),
        ("humanoid", {"task": "PlacematToPlate"}, "task"),
        ("sim", {"camera": "left_wrist"}, "ego"),
        ("sim", {"seed": "many"}, "seed"),
        ("sim", {"autostart": "maybe"}, "neither true nor false"),
        ("sim", {"robot": "r2d2"}, "gr1"),
        ("humanoid", {"controllers": "tail_controller=x"}, "left_arm_controller"),
        ("humanoid", {"controllers": "left_arm_controller"}, "OURS=THEIRS"),
        ("humanoid", {"cameras": "left_wrist=/x"}, "ego"),
    ],
)
def test_a_wrong_choice_is_an_error_that_names_it(kind, chosen, named):
    with pytest.raises(DialError, match=named):
        graph(kind, **chosen)


PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")  # as Fast DDS 2 and 3 call it


def test_the_transport_profile_exists_and_is_given_to_either_fast_dds(monkeypatch):
    for name in PROFILES:
        monkeypatch.delenv(name, raising=False)
    (profile,) = {environment("humanoid")[name] for name in PROFILES}
    assert Path(profile).is_file()


@pytest.mark.parametrize("theirs", PROFILES)
def test_a_transport_profile_of_the_users_is_kept_for_either_fast_dds(monkeypatch, theirs):
    for name in PROFILES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(theirs, "/mine.xml")
    assert {environment("sim")[name] for name in PROFILES} == {"/mine.xml"}
    monkeypatch.setenv(next(name for name in PROFILES if name != theirs), "/other.xml")
    assert environment("sim")[theirs] == "/mine.xml", "each as it is set"


def test_every_argument_has_a_description():
    assert all(len(argument.description) > 10 for arguments in ARGUMENTS.values() for argument in arguments)


def test_executables_installed_by_cmake_are_the_graphs():
    line = next(line for line in (ROOT / "CMakeLists.txt").read_text().splitlines() if "foreach(node IN ITEMS" in line)
    assert set(line.split("ITEMS")[1].split(")")[0].split()) == {
        node.executable for nodes in (graph("sim", page=True, guard=True), graph("record"), graph("teleoperate")) for node in nodes
    }


def test_the_recorder_comes_beside_a_graph_only_if_asked_for():
    assert "recorder" not in {node.name for node in graph("sim")}
    recorder = {node.name: node for node in graph("sim", record=True, directory="here")}["recorder"]
    assert not recorder.required
    assert (recorder.parameters["directory"], recorder.parameters["use_sim_time"]) == ("here", True)


def test_demonstrations_by_hand_begin_on_a_training_scene_and_on_no_other():
    def seed(**chosen):
        return next(node for node in graph("teleoperate", **chosen) if node.name == "mujoco_robot").parameters["seed"]

    assert (seed(), seed(seed="99999")) == (0, 99_999)
    with pytest.raises(DialError, match="seed 100000 is reserved for evaluation"):
        graph("teleoperate", seed=100_000)
    assert {a.name: a.default for a in ARGUMENTS["sim"]}["seed"] == 100_000


def test_a_teleoperated_robot_has_no_policy():
    assert [node.name for node in graph("teleoperate")] == ["mujoco_robot", "teleoperation", "operator", "recorder"]


def test_the_page_is_a_node_of_its_own_that_the_robot_does_not_depend_on():
    assert "operator" not in {node.name for node in graph("sim")}
    nodes = {node.name: node for node in graph("humanoid", page="true", page_port=9000, page_token="long-enough")}
    page = nodes["operator"]
    assert not page.required
    assert (page.parameters["port"], page.parameters["host"], page.parameters["token"]) == (9000, "127.0.0.1", "long-enough")
    assert page.parameters["checkpoint"] == nodes["system2"].parameters["checkpoint"]
    assert nodes["system2"].parameters["foresight_image"] is True
