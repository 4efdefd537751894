"""Completes bags whose recorder was killed: index and `metadata.yaml`, as if it had been closed then."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dial_core.bags.layout import METADATA_FILE, BagError
from dial_core.bags.reader import read_unfinished
from dial_core.bags.writer import BagWriter


def unfinished_bags(directory: Path) -> list[Path]:
    """Folders below `directory` with MCAP files, but without `metadata.yaml`."""
    return sorted({file.parent for file in directory.glob("*/*.mcap") if not (file.parent / METADATA_FILE).exists()})


def repair(folder: Path) -> int:
    """Rewrites the bag in `folder` from all messages that can be read, with the same bytes and times; their number.

    The old files are replaced only when the new ones are complete.

    Raises:
        BagError: not one message can be read.
    """
    files = sorted(folder.glob("*.mcap"), key=lambda path: (len(path.name), path.name))
    if not files:
        raise BagError(f"{folder} is no bag: no .mcap file in it")
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.repair") / folder.name  # files are named after the folder
    shutil.rmtree(fresh.parent, ignore_errors=True)
    writer: BagWriter | None = None
    facts: dict[str, str] = {}
    for path in files:
        beginning, messages = read_unfinished(path)
        for topic, log_ns, publish_ns, data in messages:
            if writer is None:
                writer = BagWriter(fresh, list(beginning.topics.values()), beginning.facts)
            writer.write(topic, log_ns, publish_ns, data)
        facts |= beginning.facts
    if writer is None:
        raise BagError(f"{folder}: not one message can be read; delete the folder")
    writer.close(facts | {"repaired": "true"})
    shutil.rmtree(folder)
    fresh.rename(folder)
    fresh.parent.rmdir()
    return writer.messages
