"""Installs packages into the environment of the Python that runs this: with uv, under pip's settings, or else with pip itself.

.venv/bin/python scripts/install_packages.py -r requirements.txt        (arguments: those that `uv pip install` and `pip install` share)

uv needs a seventh of pip's processor time, partly because it leaves bytecode to the first import of each module. It reads neither
pip.conf nor PIP_*; they are translated here, so that a mirror, a certificate or a constraint applies as before. Where uv cannot be
installed, a setting has no counterpart, or uv fails, pip installs the same packages.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence

UV = "uv==0.13.9"
TRANSLATED = {
    "index-url": "--default-index",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
    "constraint": "--constraint",
}
NO_INFLUENCE = {  # on which packages are installed, or from where
    *("config-file", "timeout", "default-timeout", "retries", "cache-dir", "prefer-binary", "no-compile", "compile", "require-virtualenv"),
    *("disable-pip-version-check", "no-python-version-warning", "root-user-action", "no-warn-script-location", "break-system-packages"),
    *("quiet", "verbose", "progress-bar", "no-color", "no-input", "log", "debug", "user"),
}


class NoCounterpartError(Exception):
    """pip has a setting that uv has not. The message leaves the value out: it may hold a password."""


def settings(listing: Iterable[str]) -> dict[str, str]:
    """pip's settings by name, from the lines of `pip config list`; an environment variable wins over a file, as in pip.

    Raises:
        NoCounterpartError: a value is not the literal that pip writes.
    """
    found: dict[str, tuple[int, str]] = {}
    for line in listing:
        key, _, quoted = line.strip().partition("=")
        section, _, name = key.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section, -1)
        if rank < found.get(name, (0, ""))[0]:
            continue
        try:
            value = str(ast.literal_eval(quoted))
        except (ValueError, SyntaxError):
            raise NoCounterpartError(f"pip's setting {name}, whose value cannot be read,") from None
        if value:  # pip passes empty ones over
            found[name] = rank, value
    return {name: value for name, (_, value) in found.items()}


def uv_options(chosen: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The options and the environment variables by which uv does what pip's settings say.

    Raises:
        NoCounterpartError: one of them has no counterpart.
    """
    # As pip does: the best version of all indexes, not that of the first index which has the package.
    options, variables = ["--index-strategy", "unsafe-best-match"], {}
    for name, value in chosen.items():
        if name == "cert":
            variables["SSL_CERT_FILE"] = value
        elif name == "no-index":
            options += ["--no-index"] if value.lower() in ("1", "true", "yes", "on") else []
        elif name == "no-cache-dir":
            options.append("--no-cache")  # whatever the value, as in pip
        elif name in TRANSLATED:
            options += [word for one in value.split() for word in (TRANSLATED[name], one)]
        elif name not in NO_INFLUENCE:
            raise NoCounterpartError(f"pip's setting {name}")
    return options, variables


def install_with_uv(words: Sequence[str]) -> bool:
    """Whether uv installed what the words ask for."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    try:
        options, variables = uv_options(settings(listing.splitlines()))
    except NoCounterpartError as reason:
        print(f"{reason} has no counterpart in uv", flush=True)
        return False
    if subprocess.run([*pip, "install", "-q", "--retries", "1", "--timeout", "15", UV], check=False).returncode:
        return False
    uv = [sys.executable, "-m", "uv", "--no-config", "pip", "install", "--python", sys.executable]
    return not subprocess.run([*uv, *options, *words], env=os.environ | variables, check=False).returncode


def main(words: Sequence[str]) -> int:
    """Installs; returns the exit status of the last attempt."""
    if install_with_uv(words):
        return 0
    print("uv did not install the packages; pip does", flush=True)
    return subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *words], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
