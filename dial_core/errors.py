"""The one exception base of the project."""


class DialError(Exception):
    """Something a user can mend. The message says what was wrong, where, and the valid choices or the next step."""
