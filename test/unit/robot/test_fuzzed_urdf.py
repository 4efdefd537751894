"""URDFs with any bytes changed, and any values in their attributes: a right result or a DialError, nothing else.

200 examples of each in the normal run; 10,000 with `make nightly`.
"""

import math
import re

from hypothesis import strategies as st

from dial_core.errors import DialError
from dial_core.robot.embodiment_from_urdf import embodiment_from_urdf
from dial_core.robot.urdf import parse_urdf, read_description, read_urdf

from ..mutations import both, changes, mutated
from .test_embodiment_from_urdf import GROUPS, URDF

words = st.sampled_from(
    ["", "0", "-1", "1e400", "nan", "inf", "0 0 1", "1 2", "0,5", "left_shoulder", "pelvis", "revolute", "fixed", "${pi}", "π", "<", "true"]
)


def _require_sound(text: str) -> None:
    try:
        urdf = parse_urdf(text, "test")
        description = read_description(text)
    except DialError:
        return
    for joint in urdf.joints.values():
        assert math.isclose(math.hypot(*joint.axis), 1.0)
        assert all(map(math.isfinite, joint.position))
        assert math.isclose(math.hypot(*joint.quaternion), 1.0)
        assert joint.limits is None or not any(map(math.isnan, (joint.limits.lower, joint.limits.upper, joint.limits.velocity)))
    assert description.limits.keys() | description.unmoved.keys() == urdf.joints.keys()
    try:
        made = embodiment_from_urdf(urdf, "test", "pelvis", ("left_wrist", "right_wrist"), GROUPS)
    except DialError:
        return
    assert all(joint["lower"] < joint["upper"] for joint in made["joints"])


def _bytes(tmp_path, edits):
    file = tmp_path / "robot.urdf"
    file.write_bytes(mutated(URDF.encode(), edits))
    try:
        read_urdf(file)
    except DialError:
        return
    _require_sound(file.read_text(errors="replace"))


test_a_file_of_any_bytes_is_read_or_refused, test_a_file_of_any_bytes_is_read_or_refused_nightly = both(_bytes, edits=changes)

ATTRIBUTES = list(re.finditer(r'="[^"]*"', URDF))


def _attributes(places):
    text = URDF
    for number, word in sorted(places.items(), reverse=True):
        attribute = ATTRIBUTES[number % len(ATTRIBUTES)]
        if text[attribute.start() : attribute.end()] == attribute[0]:
            text = text[: attribute.start()] + f'="{word}"' + text[attribute.end() :]
    _require_sound(text)


test_attributes_of_any_value_are_read_or_refused, test_attributes_of_any_value_are_read_or_refused_nightly = both(
    _attributes, places=st.dictionaries(st.integers(0, 500), words, min_size=1, max_size=3)
)
