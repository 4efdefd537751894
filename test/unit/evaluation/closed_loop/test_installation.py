"""`dial robocasa setup` without a network: the patch on its one line, the source at its commit, and what a failing step says."""

import subprocess
import sys

import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop import installation
from dial_core.evaluation.closed_loop.benchmark import Source, load_benchmark
from dial_core.evaluation.closed_loop.installation import install
from dial_core.evaluation.closed_loop.source_state import BASKET_CUT, BASKET_FILE, BASKET_LINE, apply_patch, source_state

AROUND = ("            if split == 'B':\n", "            choices.append(reg_choices)\n")


def git(folder, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def clone_with(folder, lines: str):
    """A clone whose file to patch has these lines, committed; returns the file."""
    path = folder / BASKET_FILE
    path.parent.mkdir(parents=True)
    path.write_text(AROUND[0] + lines + AROUND[1])
    (folder / "robocasa/__init__.py").write_text("")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        git(folder, *words)
    return path


def test_the_patch_adds_one_line_after_the_cut_and_nothing_the_second_time(tmp_path):
    path = clone_with(tmp_path, BASKET_CUT)
    assert apply_patch("basket_4", tmp_path) is True
    assert path.read_text() == AROUND[0] + BASKET_CUT + BASKET_LINE + AROUND[1]
    assert apply_patch("basket_4", tmp_path) is False
    assert path.read_text().count(BASKET_LINE) == 1


def test_the_added_line_leaves_out_what_the_authors_patch_leaves_out():
    authors = """
if "assets/objects/sketchfab/basket/" in reg_choices[0]:
    reg_choices = [c for c in reg_choices if not c.endswith('basket_4/model.xml')]
"""  # from DIAL's README
    for category in ("basket", "tiered_basket"):
        paths = [f"/x/assets/objects/sketchfab/{category}/{category}_{number}/model.xml" for number in (3, 4, 14)]
        ours, theirs = {"reg_choices": list(paths)}, {"reg_choices": list(paths)}
        exec(BASKET_LINE.strip(), ours)
        exec(authors, theirs)
        assert ours["reg_choices"] == theirs["reg_choices"]
    assert len(ours["reg_choices"]) == 3, "a tiered basket stays"
    exec(BASKET_LINE.strip(), nothing := {"reg_choices": []})
    assert nothing["reg_choices"] == []


@pytest.mark.parametrize("lines", ["", BASKET_CUT * 2])
def test_another_version_of_the_source_is_refused_and_left_alone(tmp_path, lines):
    path = clone_with(tmp_path, lines)
    before = path.read_text()
    with pytest.raises(DialError, match="another version"):
        apply_patch("basket_4", tmp_path)
    assert path.read_text() == before


def test_a_file_that_somebody_changed_is_not_patched_over(tmp_path):
    path = clone_with(tmp_path, BASKET_CUT)
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(DialError, match=r"was changed by hand; `git -C .* checkout .* undoes it"):
        apply_patch("basket_4", tmp_path)
    assert path.read_text().endswith("# mine\n")


def test_the_state_of_a_clone_is_its_commit_its_patches_and_every_other_change(tmp_path):
    clone_with(tmp_path, BASKET_CUT)
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert source_state(tmp_path, ["basket_4"]) == {"commit": commit, "patches": {"basket_4": False}, "changed": {}}
    apply_patch("basket_4", tmp_path)
    assert source_state(tmp_path, ["basket_4"]) == {"commit": commit, "patches": {"basket_4": True}, "changed": {}}
    assert list(source_state(tmp_path, [])["changed"]) == [BASKET_FILE], "without its name the patch is a change like any other"
    (tmp_path / "robocasa/__init__.py").write_text("import os\n")
    (tmp_path / "robocasa/mine.py").write_text("")
    (tmp_path / "robocasa/picture.png").write_text("assets are hashed on their own")
    one = source_state(tmp_path, ["basket_4"])["changed"]
    assert list(one) == ["robocasa/__init__.py", "robocasa/mine.py"]
    (tmp_path / "robocasa/mine.py").write_text("x = 1\n")
    assert source_state(tmp_path, ["basket_4"])["changed"] != one
    (tmp_path / BASKET_FILE).write_text(BASKET_CUT + BASKET_LINE + "more\n")
    edited = source_state(tmp_path, ["basket_4"])
    assert edited["patches"] == {"basket_4": False}
    assert BASKET_FILE in edited["changed"]


def test_what_is_no_clone_is_named(tmp_path):
    with pytest.raises(DialError, match="is no git clone"):
        source_state(tmp_path, [])


def test_the_source_is_cloned_at_its_commit_and_patched(tmp_path, monkeypatch):
    upstream = tmp_path / "upstream"
    clone_with(upstream, BASKET_CUT)
    commit = git(upstream, "rev-parse", "HEAD")
    (upstream / BASKET_FILE).write_text("later\n")
    git(upstream, "commit", "-qam", "two")
    installed = []
    monkeypatch.setattr(installation, "_pip", lambda python, *what: installed.append(what))
    source = Source(repository=str(upstream), commit=commit, patches=("basket_4",))
    for _ in range(2):  # called again it completes what is missing
        installation._install_source(source, tmp_path / "python", tmp_path / "source", lambda line: None)
    assert source_state(tmp_path / "source", source.patches) == {"commit": commit, "patches": {"basket_4": True}, "changed": {}}
    assert installed[0] == ("--no-deps", "--editable", str(tmp_path / "source"))


def test_assets_are_fetched_once_and_what_is_missing_of_them_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAL_ENVIRONMENTS", str(tmp_path))
    benchmark = load_benchmark("robocasa_gr1")
    wanted, ran = benchmark.installation, []
    wanted.python.parent.mkdir(parents=True)
    wanted.python.touch()
    for name, value in {"_pip": None, "_install_source": None, "environment_facts": {"packages": {}}}.items():
        monkeypatch.setattr(installation, name, lambda *_, value=value: value)
    monkeypatch.setattr(installation, "_run", lambda command, **_: ran.append(command[1]))
    package = wanted.clone / "robocasa"
    (package / wanted.assets / "fixtures").mkdir(parents=True)  # comes with the source
    install(benchmark, lambda line: None)
    assert ran == ["download_tabletop_assets.py"]
    for name in wanted.asset_folders:
        (package / wanted.assets / name / "one").mkdir(parents=True)
    install(benchmark, lambda line: None)
    assert len(ran) == 1
    (package / wanted.assets / "textures/one").rmdir()
    assert wanted.missing_assets(package) == ["textures"]


def test_a_step_that_fails_ends_with_its_last_words(tmp_path):
    with pytest.raises(DialError, match=r"failed with 3: .*no wheel for this machine"):
        installation._run([sys.executable, "-c", "import sys; print('no wheel for this machine', file=sys.stderr); sys.exit(3)"])


def test_a_python_that_the_benchmark_has_no_wheels_for_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAL_ENVIRONMENTS", str(tmp_path))
    monkeypatch.setattr(installation.sys, "version_info", (3, 14, 0))
    with pytest.raises(DialError, match=r"needs Python 3\.11 or 3\.12"):
        install(load_benchmark("robocasa_gr1"), print)
    assert not list(tmp_path.iterdir())
