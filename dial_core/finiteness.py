"""The one check for NaN and infinity, with one message that says how many values are wrong and where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dial_core.errors import DialError

DROP_EPISODE = "drop that episode, or record it again"


class NotFiniteError(DialError):
    """Values hold NaN or infinity."""


def not_finite(values: np.ndarray, names: Sequence[str] = ()) -> str:
    """Returns how many values are not finite and where; empty if all are finite.

    Args:
        values: of any shape. Of an array (F, D), the place of the first is given as frame and dimension.
        names: of the last axis. Of a vector, all that are wrong are named.
    """
    values = np.asarray(values)
    broken = ~np.isfinite(values)
    count = int(np.count_nonzero(broken))
    if not count:
        return ""
    if values.ndim == 2:
        frame, dimension = (int(place) for place in np.argwhere(broken)[0])
        name = f" ({names[dimension]})" if dimension < len(names) else ""
        return f"{count} values are not finite, first in frame {frame}, dimension {dimension}{name}"
    if values.ndim == 1 and len(names) == len(values):
        where = f": {', '.join(names[place] for place in np.flatnonzero(broken))}"
    else:
        where = f", first at {np.argwhere(broken)[0].tolist()}"
    return f"{count} of {values.size} values are not finite{where}"


def require_finite(values: np.ndarray, what: str, names: Sequence[str] = (), advice: str = "") -> None:
    """Checks that all values are finite.

    Args:
        values, names: as of `not_finite`.
        what: names the values in the message.
        advice: ends the message.

    Raises:
        NotFiniteError: one is NaN or infinite.
    """
    if found := not_finite(values, names):
        raise NotFiniteError(f"{what}: {found}{'; ' if advice else ''}{advice}")
