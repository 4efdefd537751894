"""The port that a page listens on: a free one, or one that must not be taken."""

import errno
import socket

from dial_core.errors import DialError


def free_port(host: str) -> int:
    """Returns a port of `host` that nobody listens on now. Raises DialError if this machine has no such address."""
    return _bound(host, 0, "")


def require_free_port(host: str, port: int, advice: str) -> None:
    """Raises DialError if `port` of `host` cannot be listened on; before an address is shown at which another page may be.

    Args:
        host: address or name of this machine.
        port: 1 to 65535.
        advice: stands at the end of the error, for instance "give --port".
    """
    _bound(host, port, advice)


def _bound(host: str, port: int, advice: str) -> int:
    """Returns the port that was bound for a moment."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the page does: connections of the one before do not count
            probe.bind((address[0], port, *address[2:]))
            probe.listen(1)
            return probe.getsockname()[1]
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = f"port {port} is taken (the live page?)" if taken else f"cannot listen on {host}, port {port}: {error}"
        raise DialError(f"{why}{': ' + advice if advice else ''}") from error
