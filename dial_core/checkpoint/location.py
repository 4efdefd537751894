"""Finds checkpoints: by folder, or by the name of one that comes with the package."""

from pathlib import Path

from dial_core.config import share_root
from dial_core.errors import DialError

DEFAULT_CHECKPOINT = "dial_tiny"
CONFIG = "config.json"


def checkpoint_folder(name: str | Path) -> Path:
    """Returns the folder of a checkpoint.

    Args:
        name: a folder, relative to the working folder or absolute; or a plain name such as `dial_tiny`, which is looked up
            among the checkpoints of the package where no such folder is in the working folder.

    Raises:
        DialError: neither is there, or the folder is no checkpoint; the message lists the names that come with the package.
    """
    path = Path(name).expanduser()
    if (path / CONFIG).is_file():
        return path.absolute()
    shipped = share_root() / "checkpoints"
    if path.name == str(path) and (shipped / path / CONFIG).is_file():
        return shipped / path
    if path.is_dir():
        raise DialError(f"{path} holds no checkpoint (no {CONFIG}); name a folder that `dial train` made")
    known = ", ".join(sorted(folder.name for folder in shipped.glob("*/") if (folder / CONFIG).is_file())) or "none"
    raise DialError(f"no checkpoint '{name}': no such folder, and the package brings: {known}. Train one with `dial train`")
