"""`dial robocasa setup` without a network: the patch on its one line, the source at its commit, and what a failing step says."""

import subprocess
import sys

import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop import installation
from dial_core.evaluation.closed_loop.benchmark import Source, load_benchmark
from dial_core.evaluation.closed_loop.installation import BASKET_CUT, BASKET_FILE, BASKET_LINE, install, patch_basket

AROUND = ("            if split == 'B':\n", "            choices.append(reg_choices)\n")


def source_with(tmp_path, lines: str):
    path = tmp_path / BASKET_FILE
    path.parent.mkdir(parents=True)
    path.write_text(AROUND[0] + lines + AROUND[1])
    return path


def test_the_patch_adds_one_line_after_the_cut_and_nothing_the_second_time(tmp_path):
    path = source_with(tmp_path, BASKET_CUT)
    assert patch_basket(tmp_path) is True
    assert path.read_text() == AROUND[0] + BASKET_CUT + BASKET_LINE + AROUND[1]
    assert patch_basket(tmp_path) is False
    assert path.read_text().count(BASKET_LINE) == 1


def test_the_added_line_leaves_out_basket_4_alone():
    drawn = {"reg_choices": [f"objects/{name}/model.xml" for name in ("basket_3", "basket_4", "basket_14")]}
    exec(BASKET_LINE.strip(), drawn)
    assert drawn["reg_choices"] == ["objects/basket_3/model.xml", "objects/basket_14/model.xml"]


@pytest.mark.parametrize("lines", ["", BASKET_CUT * 2])
def test_another_version_of_the_source_is_refused_and_left_alone(tmp_path, lines):
    path = source_with(tmp_path, lines)
    before = path.read_text()
    with pytest.raises(DialError, match="another version"):
        patch_basket(tmp_path)
    assert path.read_text() == before


def test_the_source_is_cloned_at_its_commit_and_patched(tmp_path, monkeypatch):
    upstream = tmp_path / "upstream"
    source_with(upstream, BASKET_CUT)
    git = ["git", "-C", str(upstream), "-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run(git + words, check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (upstream / BASKET_FILE).write_text("later\n")
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    installed = []
    monkeypatch.setattr(installation, "_pip", lambda python, *what: installed.append(what))
    source = Source(repository=str(upstream), commit=commit, patches=("basket_4",))
    for _ in range(2):  # called again it completes what is missing
        installation._install_source(source, tmp_path / "python", ("numpy==1.26.4",), tmp_path / "source", lambda line: None)
    assert BASKET_LINE in (tmp_path / "source" / BASKET_FILE).read_text()
    assert installed[0] == ("--editable", str(tmp_path / "source"), "numpy==1.26.4")


def test_a_step_that_fails_ends_with_its_last_words(tmp_path):
    with pytest.raises(DialError, match=r"failed with 3: .*no wheel for this machine"):
        installation._run([sys.executable, "-c", "import sys; print('no wheel for this machine', file=sys.stderr); sys.exit(3)"])


def test_a_python_that_the_benchmark_has_no_wheels_for_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAL_ENVIRONMENTS", str(tmp_path))
    monkeypatch.setattr(installation.sys, "version_info", (3, 14, 0))
    with pytest.raises(DialError, match=r"needs Python 3\.10 to 3\.12"):
        install(load_benchmark("robocasa_gr1"), print)
    assert not list(tmp_path.iterdir())
