"""How a result came about: what its file says of that, and the default folder, which no other measurement writes to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dial_core
from dial_core.evaluation.closed_loop.library_versions import library_versions
from dial_core.evaluation.closed_loop.protocol import Protocol, sources_hash


def origin_of(protocol: Protocol, versions: Mapping[str, str] | None = None) -> dict:
    """Returns protocol, its hash, code version, sources and library versions (without `versions` this process's), as JSON values."""
    return {
        "protocol": protocol.model_dump(mode="json"),
        "protocol_hash": protocol.hash,
        "code_version": dial_core.__version__,
        "sources": sources_hash(),
        "versions": dict(library_versions() if versions is None else versions),
    }


def default_folder(study: str, scenes: str, protocol: Protocol, *chosen: str) -> Path:
    """Returns `out/STUDY/SCENES-HASH`, followed by what was `chosen` beside the protocol; `scenes`: their suite or task."""
    return Path("out") / study / "-".join((scenes.replace("/", "_"), protocol.hash, *chosen))
