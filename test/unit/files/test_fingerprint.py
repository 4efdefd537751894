import pytest

from dial_core.errors import DialError
from dial_core.files.fingerprint import FINGERPRINT, require_same

SETTINGS = {"start": "abc", "stage": {"steps": 10, "rates": (0.9, 0.95)}}


def test_a_new_folder_is_made_and_the_same_settings_resume_in_it(tmp_path):
    require_same(tmp_path / "new", SETTINGS)
    assert (tmp_path / "new" / FINGERPRINT).is_file()
    require_same(tmp_path / "new", SETTINGS)


def test_other_settings_are_refused_and_every_difference_named(tmp_path):
    require_same(tmp_path / "new", SETTINGS)
    other = {"start": "abd", "stage": {"steps": 20, "rates": (0.9, 0.95)}}
    with pytest.raises(DialError, match=r"stage\.steps was 10, is now 20; start was abc, is now abd\. Choose another --out") as error:
        require_same(tmp_path / "new", other)
    assert "rates" not in str(error.value)


def test_a_folder_from_before_there_were_fingerprints_is_taken_as_it_is(tmp_path):
    (tmp_path / "log.jsonl").touch()
    require_same(tmp_path, SETTINGS)
    assert not (tmp_path / FINGERPRINT).exists()


def test_a_call_that_was_killed_while_it_wrote_the_first_fingerprint_leaves_a_new_folder(tmp_path):
    (tmp_path / f".{FINGERPRINT}.4711.partial").touch()
    require_same(tmp_path, SETTINGS)
    with pytest.raises(DialError, match="start was abc, is now abd"):
        require_same(tmp_path, {**SETTINGS, "start": "abd"})


def test_settings_that_a_later_version_added_are_by_default_what_they_always_were(tmp_path):
    require_same(tmp_path, SETTINGS)
    later = {**SETTINGS, "stage": {**SETTINGS["stage"], "draws": 1}}
    added = {"stage.draws": 1, "stage.gone": 0}
    require_same(tmp_path, later, defaults=added)
    with pytest.raises(DialError, match=r"other settings: stage\.draws was 1, is now 4\. Choose"):
        require_same(tmp_path, {**SETTINGS, "stage": {**SETTINGS["stage"], "draws": 4}}, defaults=added)
    with pytest.raises(DialError, match=r"other settings: stage\.draws was None, is now 1\. Choose"):
        require_same(tmp_path, later)


def test_a_mapping_that_was_named_has_no_defaults_of_its_own(tmp_path):
    added = {"stage.mixture": {"robot": 1}}
    require_same(tmp_path / "named", {"stage": {"mixture": {"human": 1}}})
    with pytest.raises(DialError, match=r"stage\.mixture\.robot was None, is now 1\. Choose"):
        require_same(tmp_path / "named", {"stage": {"mixture": {"human": 1, "robot": 1}}}, defaults=added)
    require_same(tmp_path / "before", {"stage": {"steps": 1}})
    require_same(tmp_path / "before", {"stage": {"steps": 1, "mixture": {"robot": 1}}}, defaults=added)
