import subprocess

import pytest

import dial_core
from dial_core.reproduction.running_code import running_code


def git(folder, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A git checkout of a package with a recipe beside it."""
    for name, text in {"dial_core/__init__.py": "", "config/recipe.yaml": "steps: 1\n", "README.md": "as it was\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_a_checkout_is_named_by_its_commit_and_by_what_was_changed_in_it(checkout):
    commit = f"commit {git(checkout, 'rev-parse', 'HEAD')[:12]}"
    (checkout / "README.md").write_text("no step reads it\n")
    assert running_code(checkout / "dial_core") == commit
    seen = {commit}
    for name, text in {"config/recipe.yaml": "steps: 2\n", "dial_core/new.py": "one = 1\n", "dial_core/__init__.py": "two = 2\n"}.items():
        (checkout / name).write_text(text)
        code = running_code(checkout / "dial_core")
        assert code.startswith(f"{commit} with changes ")
        assert code not in seen
        seen.add(code)
    (checkout / "config/recipe.yaml").unlink()
    assert running_code(checkout / "dial_core") not in seen


def test_an_installed_package_is_named_by_its_version_even_below_somebody_elses_repository(checkout, tmp_path_factory):
    version = f"version {dial_core.__version__}"
    installed = checkout / "venv/dial_core"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert running_code(installed) == version
    assert running_code(tmp_path_factory.mktemp("nowhere")) == version
