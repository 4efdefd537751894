"""The text of a robot's URDF as its XML tree. It may come over a topic, so it is bounded and may declare no entities."""

from xml.etree import ElementTree

from dial_core.errors import DialError

LONGEST = 20_000_000  # [characters]; the largest humanoids' have about one million


def parse_urdf(text: str, source: str) -> ElementTree.Element:
    """The `<robot>` element of a URDF.

    Args:
        text: the URDF, processed (no xacro).
        source: what the text is called in errors, such as `robot_description`.

    Raises:
        DialError: too long, with XML entities, not XML, or not a URDF.
    """
    if len(text) > LONGEST:
        raise DialError(f"{source} has {len(text)} characters, at most {LONGEST} are read; is it a URDF?")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DialError(f"{source} declares XML entities, which a URDF does not need and which are not read; remove them")
    try:
        robot = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DialError(f"{source} is not XML: {error}; give the processed URDF, not the xacro") from error
    if robot.tag != "robot":
        raise DialError(f"{source} begins with <{robot.tag}>, a URDF with <robot>")
    return robot
