"""One evaluation for each value of a setting: success against the age of the foresight, the steps of a chunk, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import Protocol

# Settings that the command line also takes in seconds, and the protocol's field in control steps.
IN_SECONDS = {"system2_period": "system2_period_steps", "system2_delay": "system2_delay_steps"}
SWEPT = (
    *IN_SECONDS,
    *IN_SECONDS.values(),
    "system1_delay_s",
    "splice_lead_s",
    "execute_steps",
    "strategy",
    "flow_steps",
    "noise_seed",
    "foresight",
    "instruct",
)


def expand(protocol: Protocol, sweeps: Sequence[str], rate_hz: float) -> dict[str, Protocol]:
    """Every combination of the swept values, by its name.

    Args:
        protocol: what stays as it is.
        sweeps: `name=value,value,...` each, such as `system2_period=0.25,0.5,1` (`system2_period` and `system2_delay` in
            seconds, the others as fields of the protocol).
        rate_hz: of the control steps.

    Raises:
        DialError: an unknown name, or a value that the protocol does not take.
    """
    axes = [_axis(sweep, rate_hz) for sweep in sweeps]
    protocols = {}
    for combination in product(*axes):
        names, changes = zip(*combination, strict=True)
        values = protocol.model_dump() | {key: value for change in changes for key, value in change.items()}
        protocols[", ".join(names)] = validate(Protocol, values, source="--sweep")
    return protocols


def _axis(sweep: str, rate_hz: float) -> list[tuple[str, dict[str, object]]]:
    """(name in the table, changed field) of each value."""
    key, equals, listed = sweep.partition("=")
    values = [value.strip() for value in listed.split(",") if value.strip()]
    if not equals or key not in SWEPT or not values:
        raise DialError(f"--sweep '{sweep}': expected NAME=VALUE,VALUE,... with NAME one of {', '.join(SWEPT)}")
    axis: list[tuple[str, dict[str, object]]] = []
    for value in values:
        if key in IN_SECONDS:
            steps = round(_number(sweep, value) * rate_hz)
            axis.append((f"{key} {steps / rate_hz:g} s", {IN_SECONDS[key]: steps}))
        else:
            axis.append((f"{key} {value}", {key: value}))
    return axis


def _number(sweep: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise DialError(f"--sweep '{sweep}': '{value}' is no number of seconds") from error
