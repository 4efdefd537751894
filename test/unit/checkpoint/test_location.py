import pytest

from dial_core.checkpoint.location import checkpoint_folder
from dial_core.config import share_root
from dial_core.errors import DialError


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working folder outside of the package."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_is_found_from_any_folder_and_with_any_configuration_root(elsewhere, monkeypatch):
    monkeypatch.setenv("DIAL_CONFIG_ROOT", str(elsewhere / "my_config"))
    assert checkpoint_folder("dial_tiny") == share_root() / "checkpoints" / "dial_tiny"


def test_a_folder_of_that_name_in_the_working_folder_comes_first(elsewhere):
    (elsewhere / "dial_tiny").mkdir()
    (elsewhere / "dial_tiny" / "config.json").write_text("{}")
    assert checkpoint_folder("dial_tiny") == elsewhere / "dial_tiny"


@pytest.mark.parametrize("name", ["dial_huge", "models/dial_tiny", "../dial_tiny"])
def test_what_is_not_there_is_an_error_that_lists_the_names(elsewhere, name):
    with pytest.raises(DialError, match=rf"no checkpoint '{name}'.*dial_tiny"):
        checkpoint_folder(name)


def test_a_folder_without_a_checkpoint_is_named(elsewhere):
    (elsewhere / "train").mkdir()
    with pytest.raises(DialError, match=r"train holds no checkpoint \(no config.json\)"):
        checkpoint_folder("train")
