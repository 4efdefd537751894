"""Says in one line that the system refuses a file or folder: the wrong owner, a read-only disk, a file where a folder should be."""

import errno

_REFUSED = {
    errno.EACCES: "this user may not use it; correct its owner or mode, or choose another path",
    errno.EPERM: "this user may not use it; correct its owner or mode, or choose another path",
    errno.EROFS: "its disk can only be read; choose another path",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "it is a folder, and a file is expected; choose another path",
    errno.EEXIST: "something of that name exists already; move it, or choose another path",
    errno.ENAMETOOLONG: "the name is too long for the disk; choose a shorter one",
}


def refused_path(error: OSError) -> str | None:
    """Which path the system refuses, why, and what to do; None if the error is another one and worth a traceback."""
    if error.filename is None or error.errno not in _REFUSED:
        return None
    return f"{error.filename}: {_REFUSED[error.errno]}"
