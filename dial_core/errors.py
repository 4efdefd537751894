"""The one exception base of the project, and what several packages must tell apart from it."""


class DialError(Exception):
    """Something a user can mend. The message says what was wrong, where, and the valid choices or the next step."""


class ConnectionLostError(DialError):
    """A server is gone, or gave no answer in time: the fault of the network or of the other machine, not of the request."""
