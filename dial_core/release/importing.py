"""From a release's checkpoint to one of ours: weights, and, where its statistics are found, all that a session needs to run it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dial_core.checkpoint.checkpoint import save_checkpoint, view_of
from dial_core.checkpoint.contract import Contract
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_folder
from dial_core.model.pretrained import load_tokenizer
from dial_core.release.folder import Release, import_model, read_release, vlm_of
from dial_core.release.released_statistics import METADATA, read_normaliser
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.vector_layout import BasePose, load_layout


@dataclass(frozen=True)
class Target:
    """What the imported weights are to drive.

    Attributes:
        embodiment, camera: the robot, and the camera that both systems see.
        layout: of the weights' own vectors (`config/layouts/`).
        base: pose of the robot's base in the frame of the wrists, where no simulation reports it.
        statistics: the release's metadata.json; None: `experiment_cfg/metadata.json` in its folder.
        tokenizer: folder or hub name; None: the release's folder, else its VLM.
    """

    embodiment: str = "gr1"
    camera: str = "ego"
    layout: str = "released"
    base: BasePose | None = None
    statistics: Path | None = None
    tokenizer: str | None = None


def import_release(
    source: str | Path,
    target: str | Path,
    vlm: str | Path | None = None,
    image: tuple[int, int] | None = None,
    robot: Target | None = None,
) -> tuple[int, Contract | None]:
    """Writes the checkpoint folder `target`; see `read_release` for `vlm` and `image`.

    Without statistics the folder holds weights and architecture only, enough to train from; with them it is complete.

    Returns:
        The number of parameters, and the contract of a complete checkpoint.

    Raises:
        DialError: the release is incomplete or not DIAL, statistics or layout do not fit, or `target` is there already.
    """
    source, target, robot = Path(source), Path(target), robot or Target()
    if target.exists() and any(target.iterdir()):
        raise DialError(f"{target} is there already; choose another folder")
    embodiment, layout = load_embodiment(robot.embodiment), load_layout(robot.layout)
    release = _with_named_slot(read_release(source, vlm, image), layout.slot, embodiment.name)
    model = import_model(release)
    count = sum(parameter.numel() for parameter in model.parameters())
    statistics = robot.statistics or source / METADATA
    if robot.statistics is None and not statistics.is_file():
        with atomic_folder(target, replace=True) as folder:
            model.save_pretrained(folder)
        return count, None
    contract = save_checkpoint(
        target,
        model,
        load_tokenizer(robot.tokenizer or (source if (source / "tokenizer_config.json").is_file() else vlm_of(source, vlm))),
        read_normaliser(statistics, layout, embodiment),
        embodiment,
        card=f"# {source.name}\n\nImported from a checkpoint of the authors' release, vectors in layout `{layout.name}`.\n",
        dtype=model.dtype,
        views=(view_of(model.arch, robot.camera).model_copy(update={"crop": layout.crop, "fit": "stretch" if layout.crop else "crop"}),),
        layout=layout.model_copy(update={"base": robot.base}) if robot.base else layout,
        instruction_prefix="" if release.ignores_prefix else layout.instruction_prefix,
    )
    return count, contract


def _with_named_slot(release: Release, slot: int, robot: str) -> Release:
    """The release with the robot's slot under the robot's name, by which training finds it; a model too small for it stays as it is."""
    names = tuple(robot if place == slot else name for place, name in enumerate(release.arch.embodiments))
    return replace(release, arch=release.arch.model_copy(update={"embodiments": names}))
