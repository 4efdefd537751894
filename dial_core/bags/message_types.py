"""Decodes messages by the definitions in a bag, or, where it has none, by those of ROS 2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from dial_core.bags.layout import BagError, Topic

_HEADER = 4  # bytes of CDR before the message: byte order and options


class MessageTypes:
    """The types of a bag's topics.

    Attributes:
        unknown: types that cannot be decoded, with the reason.
    """

    def __init__(self, topics: Iterable[Topic]) -> None:
        self.unknown: dict[str, str] = {}
        self._own = Typestore()
        for topic in topics:
            if topic.definition and _as_message(topic.type) not in self._own.fielddefs:
                self._register(topic)

    def decode(self, kind: str, data: bytes) -> Any:
        """The message in `data`: an object with the fields of its definition; arrays of numbers are numpy arrays.

        Bytes after the message are ignored, as ROS 2 does: rclpy's `serialize_message` leaves some.

        Raises:
            BagError: the type is not known, or the bytes do not fit it.
        """
        kind = _as_message(kind)
        store = self._own if kind in self._own.fielddefs else self._known
        if kind not in store.fielddefs:
            why = self.unknown.get(kind, "its definition is neither in the bag nor known")
            raise BagError(f"type {kind} cannot be decoded: {why}")
        if len(data) < _HEADER:
            raise BagError(f"a message of {len(data)} bytes is no CDR")
        if bytes(data[:2]) not in (b"\x00\x00", b"\x00\x01"):
            raise BagError(f"a message begins with {bytes(data[:2]).hex(' ')}: not the CDR of ROS 2 (00 00 or 00 01), but XCDR2 or damaged")
        try:
            definition = store.get_msgdef(kind)
            read = definition.deserialize_cdr_le if data[1] else definition.deserialize_cdr_be
            message, end = read(data[_HEADER:], 0, definition.cls, store)
        except Exception as error:  # generated code: whatever wrong bytes make of it
            raise BagError(f"a message is no {kind}: {error}") from error
        if end + _HEADER > len(data):
            raise BagError(f"a message is no {kind}: it ends early")
        return message

    @cached_property
    def _known(self) -> Typestore:
        return get_typestore(Stores.ROS2_JAZZY)

    def _register(self, topic: Topic) -> None:
        kind = _as_message(topic.type)
        try:
            parse = topic.schema_encoding == "ros2idl" or topic.definition.startswith("=" * 80 + "\nIDL: ")
            found = get_types_from_idl(topic.definition) if parse else get_types_from_msg(_as_message(topic.definition), kind)
            self._own.register({name: fields for name, fields in found.items() if name not in self._own.fielddefs})
            self._own.get_msgdef(kind)
        except Exception as error:  # a definition from outside, in a language that its parser knows in part
            self.unknown[kind] = f"its definition cannot be used: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            self._own.fielddefs.pop(kind, None)


def _as_message(text: str) -> str:
    """Names of the parts of actions and services, as if they were messages: the parsers know no others."""
    return re.sub(r"\b(\w+)/(?:action|srv)/(\w+)", r"\1/msg/\2", text)
