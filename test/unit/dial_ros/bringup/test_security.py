"""Only the right nodes may move, stop or instruct a robot; nothing unpickles; no text is unbounded."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dial_core.config import config_root
from dial_core.observation.readings import LONGEST_ID, UnreadableMessageError, foresight_from_message
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.graph import environment, graph
from dial_ros.bringup.security import NODES, OWN_SERVICES, policy, rights
from dial_ros.msg import Instruction, LatentForesight
from dial_ros.node.messages import require_bounded
from dial_ros.recorder.recorded_topics import TRANSPORTS, topics_of

ROOT = Path(__file__).resolve().parents[4]
DOCUMENT = (ROOT / "docs" / "nodes.md").read_text()
GR1 = load_embodiment("gr1")
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}


def holders(right: str, ending: str) -> set[str]:
    return {name for name, allowed in rights(GR1).items() if any(each.endswith(ending) for each in getattr(allowed, right))}


@pytest.mark.parametrize(
    ("right", "ending", "who"),
    [
        ("publish", "/joint_trajectory", {"system1"}),
        ("publish", "foresight", {"system2"}),
        ("publish", "instruction", {"system2"}),
        ("request", "system1/estop", {"operator"}),
        ("request", "system1/reset_estop", {"operator"}),
        ("request", "system2/set_instruction", {"operator"}),
        ("request", "change_state", {"operator"}),
        ("request", "recorder/start_episode", {"operator"}),
        ("reply", "system1/estop", {"system1"}),
    ],
)
def test_each_power_has_exactly_the_holders_it_should(right, ending, who):
    assert holders(right, ending) == who


def test_with_a_guard_system1_reaches_no_controller_but_through_it():
    allowed = rights(GR1, guarded=True)
    commands = {f"{controller.name}/joint_trajectory" for controller in GR1.controllers}
    assert {name for name, its in allowed.items() if commands & set(its.publish)} == {"guard"}
    assert {f"guarded/{topic}" for topic in commands} <= set(allowed["system1"].publish) & set(allowed["guard"].subscribe)
    assert {name for name, its in allowed.items() if "guard/reset" in its.request} == {"operator"}
    assert "guard" not in rights(GR1)
    assert 'node="guard"' in policy(GR1, guarded=True)


@pytest.mark.parametrize("guarded", [False, True])
def test_a_dry_run_needs_nothing_that_the_policy_denies(guarded):
    allowed = rights(GR1, guarded)
    for node in graph("humanoid", dry_run=True, guard=guarded, record=True):
        used = {topic for ours, topic in node.remappings.items() if node.name == "system1" or ours.endswith("/joint_trajectory")}
        aside = {topic for topic in used if topic.startswith("dry_run/")}
        assert aside <= {*allowed[node.name].publish, *allowed[node.name].subscribe}, node.name


def test_nobody_may_set_a_parameter_of_system1_but_the_operator():
    assert holders("request", "system1/set_parameters") == {"operator"}


def test_the_recorder_may_subscribe_to_all_that_it_records_and_publish_none_of_it():
    allowed = rights(GR1)["recorder"]
    recorded = [topic.name for transport in TRANSPORTS for topic in topics_of(GR1, transport=transport)]
    assert {topic.replace("image/ego", GR1.cameras[0].topic) for topic in recorded} <= set(allowed.subscribe)
    assert set(allowed.publish) == {"/diagnostics", "/rosout", "/parameter_events", "recorder/transition_event"}
    assert allowed.request == ()


def test_no_name_is_a_wildcard_but_of_what_a_persons_command_answers_for_itself():
    allowed = rights(GR1, guarded=True)
    names = {(who, kind, name) for who, its in allowed.items() for kind in vars(its) for name in getattr(its, kind) if "*" in name}
    assert names == {("operator", "reply", f"/_ros2cli*/{service}") for service in OWN_SERVICES}


@pytest.mark.parametrize("node", NODES)
def test_everything_that_the_document_of_the_nodes_lists_is_allowed(node):
    section = DOCUMENT.split(f"\n## {node}\n")[1].split("\n## ")[0]
    allowed = rights(GR1)[node]
    topics = re.findall(r"^\| `([^`]+)` \| (in|out) \|", section, re.MULTILINE)
    services = re.findall(r"^\| `(~/[^`]+)` \| (?:std_srvs|dial_ros)/", section, re.MULTILINE)
    assert len(topics) > 3
    assert services
    for topic, direction in topics:
        name = topic.replace("~", node).replace("<camera>", "ego").replace("<controller>", GR1.controllers[0].name)
        assert name in (allowed.subscribe if direction == "in" else allowed.publish), topic
    assert {service.replace("~", node) for service in services} <= set(allowed.reply)


def test_the_shipped_policy_is_what_the_code_makes_of_the_embodiment():
    assert (config_root() / "security" / "gr1.xml").read_text() == policy(GR1)


def test_a_namespace_moves_profiles_and_enclaves():
    root = ElementTree.fromstring(policy(GR1, "left_lab").split("\n", 1)[1])
    assert {profile.get("ns") for profile in root.iter("profile")} == {"/left_lab"}
    assert "/dial/left_lab/system1" in {enclave.get("path") for enclave in root.iter("enclave")}


def test_discovery_in_simulation_stays_on_this_machine():
    assert environment("sim")["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in environment("humanoid")


def unpickles(node: ast.AST) -> bool:
    """An import of something that unpickles, or a loader that is asked, or by default allowed, to do so."""
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in UNPICKLERS for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in UNPICKLERS
    if not isinstance(node, ast.Call):
        return False
    called, given = ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    unsafe_yaml = called in ("yaml.load", "yaml.unsafe_load", "yaml.full_load")
    return unsafe_yaml or given.get("allow_pickle") == "True" or (called == "torch.load" and given.get("weights_only") != "True")


@pytest.mark.parametrize(
    "source", ["import pickle", "from dill import loads", "torch.load(f)", "np.load(f, allow_pickle=True)", "yaml.load(f)"]
)
def test_the_search_for_pickle_finds_it(source):
    assert any(unpickles(node) for node in ast.walk(ast.parse(source)))


@pytest.mark.parametrize("path", [p for folder in ("dial_core", "dial_ros") for p in (ROOT / folder).rglob("*.py")], ids=lambda p: p.name)
def test_nothing_unpickles(path):
    bad = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if unpickles(node)]
    assert not bad, f"{path}: lines {bad} can run code that a file or message brings"


@pytest.mark.parametrize(("text", "identity"), [("x" * 10_001, "id"), ("x", "i" * 101), ("x", "")])
def test_an_instruction_of_unbounded_length_is_refused(text, identity):
    with pytest.raises(UnreadableMessageError, match="characters"):
        require_bounded(Instruction(text=text, instruction_id=identity))


def test_names_in_a_foresight_are_cut_before_they_reach_the_diagnostics():
    read = foresight_from_message(LatentForesight(model_id="m" * 10**6, instruction_id="i" * 10**6, dtype="d" * 10**6))
    assert max(map(len, (read.model_id, read.instruction_id, read.dtype))) == LONGEST_ID + 1
