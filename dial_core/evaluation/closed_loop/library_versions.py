"""The libraries that an episode's outcome depends on beside our own code: the physics engine, and what computes a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

ENGINE = "mujoco"  # another version of it may move the same scene otherwise, so one evaluation has one
LIBRARIES = (ENGINE, "torch", "transformers", "numpy")
_AND = " and "


def library_versions() -> dict[str, str]:
    """Returns library -> version of those installed in this process's environment."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def joined_versions(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Returns the versions that several parts of one result ran with: `4.0.0`, or `4.0.0 and 4.1.0` where they differ.

    A library that some part does not name is left out: of that part it is not known.
    """
    named = [name for name in LIBRARIES if parts and all(name in part for part in parts)]
    return {name: _AND.join(dict.fromkeys(one for part in parts for one in part[name].split(_AND))) for name in named}
