"""Finds checkpoints: by folder, or by the name of one that comes with the package."""

from pathlib import Path

from dial_core.config import share_root
from dial_core.errors import DialError

DEFAULT_CHECKPOINT = "dial_tiny"
CONFIG = "config.json"


def shipped_checkpoint(name: str) -> Path | None:
    """Returns the folder of the package's own checkpoint of that plain name, if there is one and the working folder has none."""
    folder = share_root() / "checkpoints" / name
    own = Path(name).name == name and (folder / CONFIG).is_file() and not (Path(name) / CONFIG).is_file()
    return folder if own else None


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
    if folder := shipped_checkpoint(str(name)):
        return folder
    if path.is_dir():
        raise DialError(f"{path} holds no checkpoint (no {CONFIG}); name a folder that `dial train` made")
    shipped = share_root() / "checkpoints"
    known = ", ".join(sorted(folder.name for folder in shipped.glob("*/") if (folder / CONFIG).is_file())) or "none"
    raise DialError(f"no checkpoint '{name}': no such folder, and the package brings: {known}. Train one with `dial train`")
