"""Random changes to files as they come from outside, for the fuzz tests of the readers.

`both` makes two tests of one body: few examples, always the same ones, in the normal run; 10,000 random ones with `make nightly`
(`DIAL_EXAMPLES=1000 make nightly` for fewer).
"""

import json
import os
from copy import deepcopy
from types import FunctionType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK, NIGHTLY = 200, int(os.environ.get("DIAL_EXAMPLES", "10000"))

change = st.tuples(
    st.sampled_from(["set", "zero", "cut", "insert", "end"]),
    st.floats(0.0, 1.0),
    st.binary(min_size=1, max_size=24),
)
changes = st.lists(change, min_size=1, max_size=4)

odd_words = st.sampled_from(["", "v3.0", "{", "../x", "video", "observation.state"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**6) | st.floats() | odd_words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
json_changes = st.lists(st.tuples(st.integers(0, 10**6), st.booleans(), json_values), min_size=1, max_size=3)


def mutated(data: bytes, edits) -> bytes:
    """`data` with each edit of `changes` applied at its share of the length."""
    for what, share, values in edits:
        at = int(share * len(data))
        rest = data[at + len(values) :]
        if what == "set":
            data = data[:at] + values + rest
        elif what == "zero":
            data = data[:at] + bytes(min(len(values), len(data) - at)) + rest
        elif what == "cut":
            data = data[:at] + rest
        elif what == "insert":
            data = data[:at] + values + data[at:]
        else:
            data = data[:at]
    return data


def mutated_json(text: str, edits) -> str:
    """JSON with some of its values, however deep, replaced or left out."""
    content = json.loads(text)
    for number, remove, value in edits:
        places = list(_places(content))
        if not places:
            break
        holder, key = places[number % len(places)]
        if remove:
            del holder[key]
        else:
            holder[key] = deepcopy(value)
    return json.dumps(content)


def both(body, quick=QUICK, **strategies):
    """The test with `quick` examples, and under the marker `nightly` with many."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

    def with_examples(count):
        copy = FunctionType(body.__code__, body.__globals__, body.__name__, body.__defaults__, body.__closure__)
        return settings(max_examples=count, deadline=None, suppress_health_check=quiet, derandomize=count == quick)(
            given(**strategies)(copy)
        )

    return with_examples(quick), pytest.mark.nightly(with_examples(NIGHTLY))


def _places(value):
    """(container, key) of every value in a JSON value."""
    for key, inner in list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)
