"""The text of a URDF: its encoding, and the XML element in it.

Text may arrive over a topic (`robot_description`), so it is bounded in length and may not declare entities.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from xml.etree import ElementTree

from dial_core.errors import DialError
from dial_core.files.integrity import require_content

MAX_CHARACTERS = 20_000_000  # the URDFs of the largest humanoids have about one million
PROCESS = "process the xacro file first: `xacro robot.urdf.xacro > robot.urdf`"

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_ENCODING = re.compile(rb"""<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
# One that is not closed reaches to the end: a search that fails there would begin again at the next, in quadratic time.
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def decoded(path: Path) -> str:
    """The text of a URDF file, in whatever encoding its first line names (UTF-8 if it names none).

    Raises:
        DialError: no such file, empty, a Git LFS pointer, or text in another encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DialError(f"{path} cannot be read: {error.strerror}") from error
    require_content(path, data)
    declared = _ENCODING.search(data[:200])
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), declared[1].decode() if declared else "utf-8")
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise DialError(f"{path} names the encoding '{encoding}', which is not known; save it as UTF-8") from error
    except UnicodeDecodeError as error:
        raise DialError(
            f'{path} is not {encoding} text (byte {error.start}); save it as UTF-8, or name its encoding: <?xml encoding="..."?>'
        ) from error


def robot_element(text: str, source: str) -> ElementTree.Element:
    """The <robot> element of the text of a URDF, without comments and default namespace.

    Raises:
        DialError: too long, with XML entities, not XML, not a URDF, or unprocessed xacro.
    """
    if len(text) > MAX_CHARACTERS:
        raise DialError(f"{source} has {len(text)} characters, at most {MAX_CHARACTERS} are read; is it a URDF?")
    # What ROS's parser accepts and XML does not: whitespace before the first line, `--` in a comment.
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text.removeprefix("\ufeff").lstrip())
    # A bare <!DOCTYPE robot> is harmless and common; an internal subset is where entities are declared.
    if "<!ENTITY" in text or re.search(r"<!DOCTYPE[^>]*\[", text):
        raise DialError(f"{source} declares XML entities, which a URDF does not need and which are not read; remove them")
    try:
        robot = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        hint = PROCESS if "unbound prefix" in str(error) else "is it a URDF, and complete?"
        raise DialError(f"{source} is not XML: {error}; {hint}") from error
    if robot.tag.endswith("}robot"):  # a default namespace (`xmlns="..."`), which urdfdom passes over
        _without_namespace(robot)
    if robot.tag != "robot":
        raise DialError(f"{source} begins with <{robot.tag}>, a URDF with <robot>")
    if macro := next((e.tag for e in robot.iter() if isinstance(e.tag, str) and "xacro}" in e.tag), None):
        raise DialError(f"{source} contains <xacro:{macro.rpartition('}')[2]}>; {PROCESS}")
    for element in robot.iter("joint"):
        for part in element.iter():
            if xacro := next((value for value in part.attrib.values() if "${" in value or "$(" in value), None):
                raise DialError(f"{source}, joint '{element.get('name', '')}': <{part.tag}> contains '{xacro}'; {PROCESS}")
    return robot


def _without_namespace(robot: ElementTree.Element) -> None:
    """Removes the root's namespace from every element that has the same."""
    prefix = robot.tag.removesuffix("robot")
    for element in robot.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.removeprefix(prefix)
