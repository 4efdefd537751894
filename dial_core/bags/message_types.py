"""Decodes messages by the definitions in a bag, or, where it has none, by those of ROS 2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from dial_core.bags.layout import BagError, Topic

_SEPARATOR = "=" * 80 + "\n"
_PREPROCESSOR = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
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
            found = _types_of(topic.definition, kind, topic.schema_encoding)
            self._own.register({name: fields for name, fields in found.items() if name not in self._own.fielddefs})
            self._own.get_msgdef(kind)
        except Exception as error:  # a definition from outside, in a language that its parser knows in part
            self.unknown[kind] = f"its definition cannot be used: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            self._own.fielddefs.pop(kind, None)


def _types_of(definition: str, kind: str, encoding: str) -> dict:
    """Fields by type of a definition and of those that follow it, each after a line of `=` and `IDL: <type>` or `MSG: <type>`."""
    if encoding != "ros2idl" and not definition.startswith(f"{_SEPARATOR}IDL: "):
        return get_types_from_msg(_as_message(definition), kind)
    found: dict = {}
    for part in filter(str.strip, definition.split(_SEPARATOR)):
        head, _, body = part.partition("\n")
        language, _, name = head.partition(": ")
        if language == "MSG":
            found |= get_types_from_msg(body, _as_message(name.strip()))
        else:
            text = _PREPROCESSOR.sub("", body if language == "IDL" else part)  # the parser knows no `#include`
            found |= get_types_from_idl(text)
    return found


def _as_message(text: str) -> str:
    """Names of the parts of actions and services, as if they were messages: the parsers know no others."""
    return re.sub(r"\b(\w+)/(?:action|srv)/(\w+)", r"\1/msg/\2", text)
