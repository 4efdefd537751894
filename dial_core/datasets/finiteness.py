"""The one check of recorded vectors for NaN and infinity, with a message that says where the first one is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dial_core.errors import DialError


def not_finite(vectors: np.ndarray, names: Sequence[str] = ()) -> str:
    """How many values of (F, D) are not finite, and frame and dimension of the first; empty if all are finite."""
    broken = ~np.isfinite(vectors)
    if not broken.any():
        return ""
    frame, dimension = (int(place) for place in np.argwhere(broken)[0])
    name = f" ({names[dimension]})" if dimension < len(names) else ""
    return f"{int(broken.sum())} values are not finite, first in frame {frame}, dimension {dimension}{name}"


def require_finite_vectors(vectors: np.ndarray, what: str, names: Sequence[str] = (), where: str = "") -> None:
    """
    Raises:
        DialError: a value of (F, D) is NaN or infinite; the message says `where`, of `what`, how many, and the first one's place.
    """
    if found := not_finite(vectors, names):
        raise DialError(f"{f'{where}: ' if where else ''}{what}: {found}; drop that episode, or record it again")
