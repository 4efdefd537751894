"""The design rules that a machine can check: imports one way, files fit in the head, no names that say nothing.

pytest test/unit/test_architecture.py
"""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 320  # "about 300": a little air, so that nobody deletes a docstring to fit
MAX_BODY_LINES = 50  # "about 40"

# Package -> packages it may import. A package is a folder of dial_core, or a file at its top.
LEAVES = {"errors", "config", "finiteness", "files", "jobs"}
ALLOWED_IMPORTS = {
    "errors": set(),
    "finiteness": {"errors"},
    "config": {"errors"},
    "files": {"errors"},
    "jobs": {"errors", "files"},
    "viz": {"errors"},
    "robot": LEAVES,
    "model": {"config", "errors"},
    "diagram": {"model", "config", "errors"},
    "bags": {"robot"} | LEAVES,
    "control": {"robot"} | LEAVES,
    "observation": {"control", "robot"} | LEAVES,
    "sim": {"robot"} | LEAVES,
    "checkpoint": {"observation", "model", "robot"} | LEAVES,
    "release": {"checkpoint", "observation", "model", "robot"} | LEAVES,
    "datasets": {"observation", "model", "robot"} | LEAVES,
    "inference": {"checkpoint", "observation", "control", "model", "robot"} | LEAVES,
    "importers": {"datasets", "bags", "observation", "control", "robot"} | LEAVES,
    "demonstrations": {"importers", "datasets", "sim", "robot"} | LEAVES,
    "training": {"datasets", "checkpoint", "observation", "model", "sim", "robot"} | LEAVES,
    "evaluation": {"importers", "inference", "datasets", "bags", "checkpoint", "observation", "control", "sim", "viz", "robot"} | LEAVES,
    "benchmarks": {"training", "inference", "datasets", "checkpoint", "observation", "model", "sim", "robot"} | LEAVES,
    "reproduction": {"training", "evaluation", "datasets", "model", "sim"} | LEAVES,
}
ALLOWED_IMPORTS["cli"] = set(ALLOWED_IMPORTS)
ROS_MAY_USE = {"bags", "inference", "checkpoint", "observation", "control", "sim", "viz", "robot"} | LEAVES
# Statistics of a demo or of an evaluation over ROS are the harness's own.
ROS_TOOLS_MAY_USE = ROS_MAY_USE | {"evaluation"}


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported_packages(path: Path) -> set[str]:
    """First part below `dial_core` of everything that a file imports."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import hides the door it goes through"
            names = [node.module]
            if node.module == "dial_core":
                names = [f"dial_core.{alias.name}" for alias in node.names]
        else:
            continue
        packages |= {name.split(".")[1] for name in names if name.startswith("dial_core.")}
    return packages


def imported_names(node: ast.AST) -> list[str]:
    """Modules that a statement imports; none if it is no import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Modules of ours that a file imports anywhere: at the top, inside functions, or for the type checker only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {name if (name := f"{node.module}.{alias.name}") in modules else node.module for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules - {module_of(path)}


def package_of(path: Path) -> str:
    return path.relative_to(ROOT / "dial_core").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", python_files("dial_core"), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_of_the_core_go_one_way(path):
    package = package_of(path)
    if package == "__init__":
        return
    assert package in ALLOWED_IMPORTS, f"{path}: a new package '{package}' needs its imports listed here and in the architecture"
    assert imported_packages(path) <= ALLOWED_IMPORTS[package] | {package}


def test_packages_do_not_import_each_other_in_a_circle():
    TopologicalSorter({package: allowed - {package} for package, allowed in ALLOWED_IMPORTS.items()}).prepare()  # raises CycleError


def test_files_do_not_import_each_other_in_a_circle():
    files = python_files("dial_core", "dial_ros")
    modules = {module_of(path) for path in files}
    TopologicalSorter({module_of(path): imports_of(path, modules) for path in files}).prepare()  # raises CycleError


@pytest.mark.parametrize("path", python_files("dial_ros"), ids=lambda p: str(p.relative_to(ROOT)))
def test_ros_reaches_only_the_packages_it_may(path):
    allowed = ROS_TOOLS_MAY_USE if path.parent.name == "tools" else ROS_MAY_USE
    assert imported_packages(path) <= allowed


def test_control_computes_without_torch():
    for path in python_files("dial_core/control"):
        names = {name.split(".")[0] for node in ast.walk(ast.parse(path.read_text())) for name in imported_names(node)}
        assert not names & {"torch", "transformers"}, path


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


OF_OTHER_PROJECTS = {"convert_dataset_v1_to_v2.py", "kitchen_object_utils.py"}  # LeRobot's and RoboCasa's


@cache
def python_paths() -> list[str]:
    return [str(path) for path in (*ROOT.glob("*.py"), *python_files("dial_core", "dial_ros", "launch", "scripts", "test"))]


@cache
def names_of_tests() -> set[str]:
    """Files and functions of the tests."""
    texts = {path.stem: path.read_text() for path in python_files("test")}
    return {*texts, *re.findall(r"^def (test_\w+)", "\n".join(texts.values()), re.MULTILINE)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_path_and_link_in_the_documents_leads_somewhere(document):
    text = document.read_text()
    paths = re.findall(r"`((?:dial_core|dial_ros|test|config|launch|docs|scripts)/[\w./*-]*)`", text)
    interfaces = {path for path in paths if re.fullmatch(r"dial_ros/(msg|srv)/\w+", path)}
    assert not [path for path in paths if path not in interfaces and not list(ROOT.glob(path.rstrip("/")))]
    modules = set(re.findall(r"`([\w./]+\.py)\b", text)) - OF_OTHER_PROJECTS
    assert not [path for path in modules if not any(file.endswith(f"/{path}") for file in python_paths())]
    assert not [name for name in re.findall(r"`(test_\w+)`", text) if name not in names_of_tests()]
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text)
    assert not [link for link in links if not (document.parent / link).exists()]


@pytest.mark.parametrize("package", ["dial_core", "dial_ros"])
def test_every_package_stands_in_the_diagram_of_the_architecture(package):
    diagram = (ROOT / "docs/architecture.md").read_text().split("```")[1]
    packages = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()} - {"msg", "srv"}
    assert packages
    assert not [name for name in sorted(packages) if f"{name}/" not in diagram]


def test_the_core_knows_nothing_of_ros():
    for path in python_files("dial_core"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not any(name.split(".")[0] in {"rclpy", "dial_ros"} for name in imported_names(node)), path


@pytest.mark.parametrize("path", python_files("dial_core", "dial_ros", "test"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_fits_in_the_head(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "manager"}


@pytest.mark.parametrize("path", python_files("dial_core", "dial_ros"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_function_fits_on_a_screen(path):
    """Without signature and docstring: of a command line both are the documentation of its options."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        body = function.body[1:] if ast.get_docstring(function) else function.body
        assert not body or body[-1].end_lineno - body[0].lineno < MAX_BODY_LINES, function.name


REPLACES_FILES = {
    "dial_core/files/atomic.py",
    "dial_core/bags/repair.py",  # moves whole files between folders, in an order from which an interrupted repair continues
    "dial_core/training/run_folder.py",  # checkpoints that several processes have written to one staging folder
    "dial_core/evaluation/closed_loop/installation.py",  # what git has cloned
}


def test_files_are_replaced_by_the_one_atomic_writer():
    renamed = re.compile(r"\bos\.(?:replace|rename)\(|\.rename\(|\bmkstemp\(|shutil\.move\(")
    found = {str(path.relative_to(ROOT)) for path in python_files("dial_core", "dial_ros") if renamed.search(path.read_text())}
    assert found == REPLACES_FILES


def test_no_file_holds_what_a_merge_left_undecided():
    marker = re.compile(r"^\s*(<{7} |>{7} )", re.MULTILINE)
    folders = ("dial_core", "dial_ros", "test", "docs", "config", "launch", "msg", "srv")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md", ".yaml", ".msg", ".srv"}]
    files += [*ROOT.glob("*.md"), *ROOT.glob("*.cfg"), *ROOT.glob("*.toml"), *ROOT.glob("*.txt")]
    assert not [path for path in files if marker.search(path.read_text())]


def test_no_two_files_and_no_two_public_classes_share_a_name():
    files: dict[str, list[str]] = {}
    classes: dict[str, list[str]] = {}
    for path in python_files("dial_core", "dial_ros", "test"):
        if not path.stem.startswith("__") and path.stem != "conftest":
            files.setdefault(path.stem, []).append(str(path.relative_to(ROOT)))
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in (files | classes).items() if len(found) > 1} == {}
