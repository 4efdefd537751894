"""Which errors of reading data may be gone when they are read again: of a disk or a network, not of the data."""

from __future__ import annotations

import errno

_TRANSIENT = {
    errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTDOWN,
    errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.EMFILE, errno.ENFILE, errno.EAGAIN,
}  # fmt: skip


def is_transient(error: BaseException | None) -> bool:
    """Whether `error` was raised from one of a disk or a network. FFmpeg gives broken data the same numbers, which do not count."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _TRANSIENT and type(error).__module__.partition(".")[0] != "av":
            return True
        error = error.__cause__
    return False
