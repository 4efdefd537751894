"""The launch files start exactly the graph, and nothing where an argument is misspelt.

pytest test/unit/dial_ros/bringup/test_launching.py
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from dial_core.errors import DialError
from dial_ros.bringup.graph import ARGUMENTS, environment, graph
from dial_ros.bringup.launching import is_launched

ROOT = Path(__file__).resolve().parents[4]


class Recorded:
    """Stands for any launch action: keeps what it was made with."""

    def __init__(self, *arguments, **options):
        self.arguments, self.options = arguments, options


class LaunchDescription(Recorded):
    @property
    def entities(self):
        return self.arguments[0]


class LaunchConfiguration(Recorded):
    def perform(self, context):
        return context.launch_configurations[self.arguments[0]]


def context_of(configurations: dict[str, str], *typed: str) -> SimpleNamespace:
    """Stands for a launch context."""
    return SimpleNamespace(launch_configurations=configurations, argv=list(typed), is_shutdown=False)


def launch_file(kind: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(kind, ROOT / "launch" / f"{kind}.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started_by(kind: str, *typed: str, **configured: str) -> dict[str, Recorded]:
    """The nodes that a launch file starts, by name."""
    *declared, start = launch_file(kind).generate_launch_description().entities
    defaults = {a.arguments[0]: a.options["default_value"] for a in declared}
    return {node.options["name"]: node for node in start.options["function"](context_of(defaults | configured, *typed))}


@pytest.fixture
def stand_in_for_launch(monkeypatch):
    """launch and launch_ros are not to be had from pip: modules that record what a launch file asks of them."""
    contents = {
        "launch": [],
        "launch.actions": ["DeclareLaunchArgument", "EmitEvent", "IncludeLaunchDescription", "LogInfo", "OpaqueFunction"],
        "launch.events": [],
        "launch.events.process": ["ShutdownProcess"],
        "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
        "launch.substitutions": ["PathJoinSubstitution"],
        "launch_ros": [],
        "launch_ros.actions": ["Node"],
        "launch_ros.substitutions": ["FindPackageShare"],
    }
    for name, classes in contents.items():
        module = ModuleType(name)
        for each in classes:
            setattr(module, each, type(each, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules["launch"].LaunchDescription = LaunchDescription
    sys.modules["launch.substitutions"].LaunchConfiguration = LaunchConfiguration


@pytest.mark.parametrize("kind", list(ARGUMENTS))
def test_the_launch_file_starts_the_graph(kind, stand_in_for_launch):
    *declared, _ = launch_file(kind).generate_launch_description().entities
    assert [a.arguments[0] for a in declared] == [argument.name for argument in ARGUMENTS[kind]]
    started = started_by(kind, namespace="left_lab").values()
    assert [(n.options["name"], n.options["executable"], n.options["parameters"][1], n.options["namespace"]) for n in started] == [
        (node.name, node.executable, node.parameters, "left_lab") for node in graph(kind)
    ]
    assert [float(n.options["sigterm_timeout"]) for n in started] == [node.grace_s for node in graph(kind)]
    assert all(n.options["additional_env"].items() <= environment(kind).items() for n in started)


@pytest.mark.parametrize("kind", list(ARGUMENTS))
def test_the_real_launch_makes_the_graph_where_it_is_installed(kind):
    pytest.importorskip("launch_ros", reason="launch comes with an apt ROS 2 only")
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    context = LaunchContext()
    description = PythonLaunchDescriptionSource(str(ROOT / "launch" / f"{kind}.launch.py")).get_launch_description(context)
    started = []
    for entity in description.entities:
        made = entity.visit(context) or []
        assert isinstance(entity, OpaqueFunction) or not isinstance(entity, DeclareLaunchArgument) or entity.description
        started += made if isinstance(entity, OpaqueFunction) else []
    assert [node.node_executable for node in started] == [node.executable for node in graph(kind)]


@pytest.fixture
def launched(monkeypatch):
    """As in `ros2 launch dial_ros humanoid.launch.py`."""
    monkeypatch.setattr(sys, "argv", ["/opt/ros/jazzy/bin/ros2", "launch", "dial_ros", "humanoid.launch.py", "page:=true"])


EXITED = SimpleNamespace(returncode=1)


def test_a_required_node_that_ends_before_its_time_fails_the_launch_and_a_page_does_not(launched, stand_in_for_launch):
    started = started_by("humanoid", page="true")
    assert started["operator"].options["on_exit"] is None
    on_exit = started["system1"].options["on_exit"]
    with pytest.raises(DialError, match="required node system1 ended with status 1"):
        on_exit(EXITED, SimpleNamespace(is_shutdown=False))
    assert on_exit(EXITED, SimpleNamespace(is_shutdown=True)) is None


def test_where_the_file_is_included_a_required_node_ends_its_own_graph_alone(stand_in_for_launch):
    started = started_by("humanoid", page="true")
    said, stop = started["system1"].options["on_exit"](EXITED, SimpleNamespace(is_shutdown=False))
    assert started["system2"].options["on_exit"](EXITED, SimpleNamespace(is_shutdown=False)) is None, "stopped because the other ended"
    assert "required node system1 ended with status 1" in said.options["msg"]
    matches = stop.options["event"].options["process_matcher"]
    assert all(map(matches, started.values()))
    assert not matches(Recorded()), "the driver of the lab's own launch file"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("dryrun:=true", r"'dryrun' \(did you mean dry_run\?\)"),
        ("gaurd:=true", r"'gaurd' \(did you mean guard\?\)"),
        ("xyz:=1", r"'xyz'\. Nothing was started"),
        ("headless:=true", "'headless'"),
    ],
)
def test_a_misspelt_argument_starts_nothing(launched, stand_in_for_launch, typed, said):
    with pytest.raises(DialError, match=f"no such argument: {said}"):
        started_by("humanoid", "page:=true", typed)


@pytest.mark.parametrize("name", ["dryrun", "gaurd", "dry-run", "DRY_RUN", "with_dry_run", "dry_run_mode", "Guard"])
def test_where_the_file_is_included_what_nearly_keeps_the_robot_still_is_refused(stand_in_for_launch, name):
    with pytest.raises(DialError, match=f"no such argument: '{name}'"):
        started_by("humanoid", **{name: "true"})


def test_a_parents_own_arguments_and_those_of_other_files_of_ours_are_none_of_our_business(stand_in_for_launch):
    own = {"robot_ip": "10.0.0.1", "use_fake_hardware": "true", "rviz": "true", "guards": "2", "guarded": "true"}
    assert started_by("humanoid", "robot_ip:=10.0.0.1", **own)
    *declared, _ = launch_file("humanoid").generate_launch_description().entities
    beside = {a.arguments[0]: a.options["default_value"] for a in declared}
    for kind in ("record", "teleoperate"):  # neither has a guard, which humanoid's declares
        assert started_by(kind, **beside | {"seed": "0"} if kind == "teleoperate" else beside)


@pytest.mark.parametrize(
    ("words", "launched"),
    [
        (["ros2", "launch", "dial_ros", "humanoid.launch.py", "page:=true"], True),
        (["ros2", "launch", "dial_ros", "gazebo.launch.py"], True),
        (["ros2", "launch", str(ROOT / "launch" / "humanoid.launch.py")], True),
        (["ros2", "launch", "my_lab", "humanoid.launch.py"], False),
        (["ros2", "launch", "my_lab", "gazebo.launch.py", "world:=lab.sdf"], False),
        (["ros2", "launch", "/home/lab/humanoid.launch.py"], False),
        (["ros2", "launch", "dial_ros", "record.launch.py"], False),
    ],
)
def test_a_file_of_the_same_name_in_another_package_is_not_ours(monkeypatch, words, launched):
    monkeypatch.setattr(sys, "argv", words)
    assert is_launched("humanoid") == launched


def test_gazebo_has_its_own_argument(stand_in_for_launch, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "dial_ros", "gazebo.launch.py", "headless:=true"])
    entities = launch_file("gazebo").generate_launch_description().entities
    defaults = {a.arguments[0]: a.options["default_value"] for a in entities if type(a).__name__ == "DeclareLaunchArgument"}
    start = [a for a in entities if type(a).__name__ == "OpaqueFunction"][1]
    assert start.options["function"](context_of(defaults, "headless:=true"))
    with pytest.raises(DialError, match=r"'headles' \(did you mean headless\?\)"):
        start.options["function"](context_of(defaults, "headles:=true"))


def test_without_gazebo_nothing_is_started_and_what_to_install_is_named(stand_in_for_launch, monkeypatch):
    monkeypatch.setattr("dial_ros.bringup.launching._installed", lambda package: package != "ros_gz_sim")
    functions = [a for a in launch_file("gazebo").generate_launch_description().entities if type(a).__name__ == "OpaqueFunction"]
    with pytest.raises(DialError, match=r"nothing is started: ros_gz_sim; apt install ros-.ROS_DISTRO-ros-gz-sim"):
        functions[0].options["function"]({})


def test_gazebo_gets_the_humanoid_graph_in_simulated_time(stand_in_for_launch, monkeypatch):
    monkeypatch.setattr("dial_ros.bringup.launching._installed", lambda package: True)
    actions = launch_file("gazebo").generate_launch_description().entities
    declared = {a.arguments[0]: a.options["default_value"] for a in actions if type(a).__name__ == "DeclareLaunchArgument"}
    assert declared["use_sim_time"] == "true"
    started = [
        a for action in actions if type(action).__name__ == "OpaqueFunction" for a in action.options["function"](context_of(declared))
    ]
    executables = [action.options["executable"] for action in started if type(action).__name__ == "Node"]
    assert executables[:2] == ["system2", "system1"]
    assert {"create", "spawner", "parameter_bridge", "robot_state_publisher"} <= set(executables)
