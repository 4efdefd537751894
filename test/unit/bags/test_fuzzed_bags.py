"""Recordings with bytes changed, lost or added anywhere: a right result or a DialError, nothing else.

200 examples of each in the normal run; 10,000 with `make nightly`.
"""

import struct
from contextlib import suppress

import pytest
from hypothesis import strategies as st
from mcap.writer import CompressionType
from rosbags.rosbag2 import StoragePlugin

from dial_core.bags.layout import METADATA_FILE, Topic
from dial_core.bags.message_types import MessageTypes
from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import COMMANDS, IMAGE, JOINTS, KINDS, ROBOT, command_bytes, image_bytes, joint_bytes, record
from dial_core.errors import DialError
from dial_core.importers.bag.film import require_images
from dial_core.importers.bag.resampling import Resampling, resample
from dial_core.importers.bag.timeline import read_timeline
from dial_core.importers.bag.topic_streams import find_streams

from ..mutations import both, changes, mutated
from .foreign_recordings import EXPECTED, write_lazily, write_rosbag2

ORIGINALS = {(log_ns, data) for _, log_ns, data in EXPECTED}


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    """Bytes of one storage file of each kind, by name."""
    folder = tmp_path_factory.mktemp("wholes")
    files = {
        "zstd.mcap": next(write_lazily(folder / "a/x_0.mcap", foreign=True).glob("*.mcap")),
        "plain.mcap": next(write_lazily(folder / "b/x_0.mcap", compression=CompressionType.NONE).glob("*.mcap")),
        "killed.mcap": next(write_lazily(folder / "c/x_0.mcap", finish=False).glob("*.mcap")),
        "humble.db3": next(write_rosbag2(folder / "d", StoragePlugin.SQLITE3).glob("*.db3")),
    }
    return {name: path.read_bytes() for name, path in files.items()}


KINDS_OF_FILES = st.sampled_from(["zstd.mcap", "plain.mcap", "killed.mcap", "humble.db3"])


def _storage(wholes, tmp_path, name, edits):
    file = tmp_path / name
    file.write_bytes(mutated(wholes[name], edits))
    try:
        bag = Bag(file)
        found = list(bag.messages({"/joint_states", "/late"}))
    except DialError:
        return
    if name.endswith(".mcap"):  # sqlite has no checksums
        assert {(log_ns, data) for _, log_ns, data in found} <= ORIGINALS
    for topic, _, data in found[:5]:
        with suppress(DialError):
            bag.decode(topic, data)


test_a_storage_file_gives_its_own_messages_or_a_reason, test_a_storage_file_gives_its_own_messages_or_a_reason_nightly = both(
    _storage, name=KINDS_OF_FILES, edits=changes
)


def _metadata(whole_bag, edits):
    folder, text = whole_bag
    (folder / METADATA_FILE).write_bytes(mutated(text, edits))
    assert len(list(Bag(folder).messages({"/joint_states", "/late"}))) == len(EXPECTED)


@pytest.fixture(scope="module")
def whole_bag(tmp_path_factory):
    folder = write_rosbag2(tmp_path_factory.mktemp("described") / "bag", StoragePlugin.MCAP)
    return folder, (folder / METADATA_FILE).read_bytes()


test_no_metadata_costs_a_message, test_no_metadata_costs_a_message_nightly = both(_metadata, edits=changes)


MESSAGES = {JOINTS: joint_bytes(10**9), COMMANDS: command_bytes(10**9), IMAGE: image_bytes(10**9)}


def _conversion(tmp_path_factory, topic, edits, every):
    def corrupt(name, at_ns, data):
        return mutated(data, edits) if name == topic and at_ns // 50_000_000 % every == 0 else data

    folder = tmp_path_factory.mktemp("corrupted") / "bag"
    bag = Bag(record(folder, seconds=0.6, change=corrupt))
    try:
        streams = find_streams(bag, ROBOT, ROBOT.cameras)
        require_images(bag, streams.images, ROBOT.cameras)
        found = resample(read_timeline(bag, streams, ROBOT), ROBOT, Resampling(min_length_s=0.1, idle_rad_s=0.0))
    except DialError:
        return
    for piece in found.pieces:
        assert abs(piece.joints).max() < float("inf")


test_messages_of_any_content_convert_or_are_refused, test_messages_of_any_content_convert_or_are_refused_nightly = both(
    _conversion, topic=st.sampled_from(list(MESSAGES)), edits=changes, every=st.integers(1, 5)
)


def _definition(definition, data):
    types = MessageTypes([Topic("/x", "a/msg/B", definition), Topic("/joint_states", KINDS[JOINTS], "")])
    for kind in ("a/msg/B", KINDS[JOINTS]):
        with suppress(DialError):
            types.decode(kind, struct.pack("<4B", 0, 1, 0, 0) + data)


test_any_definition_is_used_or_refused, test_any_definition_is_used_or_refused_nightly = both(
    _definition, definition=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin1")), data=st.binary(max_size=80)
)
