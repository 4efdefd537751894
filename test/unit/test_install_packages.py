"""`make setup` installs with uv under pip's settings, and with pip where that cannot be.

pytest test/unit/test_install_packages.py
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("install_packages", Path(__file__).parents[2] / "scripts/install_packages.py")
install_packages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(install_packages)

LISTING = """
:env:.find-links='/wheels'
freeze.all='1'
global.extra-index-url='https://a/simple\\nhttps://b/simple'
global.find-links='/older'
global.index-url='https://mirror/simple'
install.index-url='https://mirror-of-install/simple'
""".splitlines()


def test_an_environment_variable_wins_over_the_section_of_install_and_that_over_the_global_one():
    found = install_packages.settings(LISTING[1:])
    assert found == {
        "find-links": "/wheels",
        "extra-index-url": "https://a/simple\nhttps://b/simple",
        "index-url": "https://mirror-of-install/simple",
    }


def test_every_setting_that_chooses_packages_or_their_source_becomes_an_option_of_uv():
    sources = {"index-url": "M", "extra-index-url": "A\nB", "constraint": "c.txt", "trusted-host": "h"}
    options, variables = install_packages.uv_options(sources | {"no-index": "0", "cert": "ca.crt", "timeout": "9"})
    expected = ["--default-index", "M", "--extra-index-url", "A", "--extra-index-url", "B", "--constraint", "c.txt"]
    assert options == ["--index-strategy", "unsafe-best-match", *expected, "--allow-insecure-host", "h"]
    assert variables == {"SSL_CERT_FILE": "ca.crt"}
    assert install_packages.uv_options({"no-index": "true"})[0][2:] == ["--no-index"]


def test_a_value_that_pip_passes_over_because_it_is_empty_hides_no_other():
    assert install_packages.settings([":env:.cert=''", "global.cert='ca.crt'"]) == {"cert": "ca.crt"}


def test_the_files_that_settings_come_from_are_no_setting():
    assert install_packages.uv_options({"config-file": "/etc/pip.conf"}) == install_packages.uv_options({})


@pytest.mark.parametrize("value", ["1", "0"])  # pip keeps no cache whatever the value says
def test_who_wants_no_cache_of_pip_gets_none_of_uv(value):
    assert install_packages.uv_options({"no-cache-dir": value})[0][2:] == ["--no-cache"]


def test_a_setting_without_a_counterpart_is_named_without_the_password_in_its_value():
    with pytest.raises(install_packages.NoCounterpartError) as raised:
        install_packages.uv_options({"proxy": "http://user:secret@p"})
    assert str(raised.value) == "pip's setting proxy"


class InstallerCommands:
    """Stands in for `subprocess.run`: keeps the commands, and fails those that hold the word `failing`."""

    def __init__(self, failing: str = "", listing: str = "") -> None:
        self.failing, self.listing, self.seen, self.environments = failing, listing, [], []

    def __call__(self, words, env=None, **_):
        self.seen.append(words)
        self.environments.append(env)
        return subprocess.CompletedProcess(words, int(self.failing in words), stdout=self.listing)


@pytest.mark.parametrize(
    ("commands", "installer"),
    [
        (InstallerCommands(failing="none", listing="global.index-url='M'"), "uv"),
        (InstallerCommands(failing=install_packages.UV), "pip"),
        (InstallerCommands(failing="uv"), "pip"),
        (InstallerCommands(failing="none", listing=":env:.require-hashes='1'"), "pip"),
        (InstallerCommands(failing="none", listing="global.index-url=https://unquoted"), "pip"),
        (InstallerCommands(failing="none", listing="global.index-url=unquoted"), "pip"),
    ],
    ids=["uv installs", "no uv to be had", "uv fails", "no counterpart", "no literal", "no value"],
)
def test_pip_installs_what_uv_cannot(monkeypatch, commands, installer):
    monkeypatch.setattr(install_packages.subprocess, "run", commands)
    assert install_packages.main(["-r", "requirements.txt"]) == 0
    assert commands.seen[-1][:3] == [sys.executable, "-m", installer]
    assert commands.seen[-1][-2:] == ["-r", "requirements.txt"]


def test_the_status_of_pip_is_that_of_the_installation(monkeypatch):
    monkeypatch.setattr(install_packages.subprocess, "run", InstallerCommands(failing="-r"))
    assert install_packages.main(["-r", "requirements.txt"]) == 1


def test_the_certificate_of_pip_wins_over_the_one_of_the_environment(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/environment.crt")
    commands = InstallerCommands(failing="none", listing="global.cert='/etc/ssl/pip.crt'")
    monkeypatch.setattr(install_packages.subprocess, "run", commands)
    install_packages.main(["-r", "requirements.txt"])
    assert commands.environments[-1]["SSL_CERT_FILE"] == "/etc/ssl/pip.crt"


def test_without_an_index_within_reach_uv_is_soon_given_up(monkeypatch):
    commands = InstallerCommands(failing="none")
    monkeypatch.setattr(install_packages.subprocess, "run", commands)
    install_packages.main(["-r", "requirements.txt"])
    fetched = next(words for words in commands.seen if install_packages.UV in words)
    assert fetched[-5:] == ["--retries", "1", "--timeout", "15", install_packages.UV]
