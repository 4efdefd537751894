"""The checkpoint folder: weights, architecture, tokenizer, normalisation, contract, model card.

config.json model.safetensors            as transformers' save_pretrained writes them
tokenizer.json tokenizer_config.json     the tokenizer,
chat_template.jinja                      and how a prompt is put together
normalisation.json contract.json         statistics in physical units; what the checkpoint was made for
README.md                                the model card
"""

import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from dial_core.checkpoint.contract import Contract
from dial_core.checkpoint.identity import CONTRACT, NORMALISATION, TOKENIZER, covers_policy, policy_id
from dial_core.checkpoint.rim import VectorRim
from dial_core.checkpoint.stored_weights import TensorFile, architecture_in, exact_dtype, model_with_weights, require_finite_weights
from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_folder, write_json, write_text
from dial_core.model.configuration import Architecture
from dial_core.model.dial import DialModel, Part
from dial_core.model.normalise import Normaliser
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.observation.camera_view import CameraView
from dial_core.robot.embodiment import Embodiment, load_embodiment
from dial_core.robot.vector_layout import OURS, VectorLayout

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
REQUIRED = (CONFIG, WEIGHTS, *TOKENIZER, NORMALISATION, CONTRACT)  # a model card is not


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint folder.

    Attributes:
        folder: where it was read from.
    """

    model: DialModel
    tokenizer: PreTrainedTokenizerBase
    normaliser: Normaliser
    contract: Contract
    folder: Path | None = None

    @property
    def rim(self) -> VectorRim:
        """Between the robot's vectors and the model's."""
        return VectorRim(self.contract, self.normaliser, self.model.arch)

    def require_system(self, system: int) -> None:
        """Checks that the weights of a system were loaded. Raises DialError if not."""
        if self.model.part not in ("whole", f"system{system}"):
            raise DialError(f"checkpoint {self.contract.model_id} was loaded without the weights of System-{system}; load it with them")


def make_contract(
    arch: Architecture,
    embodiment: Embodiment,
    views: Sequence[CameraView],
    model_id: str,
    layout: VectorLayout = OURS,
    instruction_prefix: str = "",
) -> Contract:
    """The contract of a model trained for a robot and these views of its cameras, that of both systems first."""
    first, *further = views
    return Contract(
        embodiment=embodiment.name,
        joint_names=embodiment.joint_names,
        camera=first.name,
        height=first.height,
        width=first.width,
        crop=first.crop,
        fit=first.fit,
        further_cameras=tuple(further),
        rate_hz=embodiment.rate_hz,
        horizon=arch.horizon,
        state_dim=embodiment.state_dim,
        action_dim=embodiment.state_dim,
        foresight_shape=arch.intent_shape,
        layout=layout,
        slot=arch.embodiments.index(embodiment.name) if embodiment.name in arch.embodiments else layout.slot,
        instruction_prefix=instruction_prefix,
        model_id=model_id,
    )


def save_checkpoint(
    path: str | Path,
    model: DialModel,
    tokenizer: PreTrainedTokenizerBase,
    normaliser: Normaliser,
    embodiment: Embodiment,
    views: Sequence[CameraView] = (),
    card: str = "",
    dtype: torch.dtype = torch.float32,
    weights: dict[str, torch.Tensor] | None = None,
    layout: VectorLayout = OURS,
    instruction_prefix: str = "",
    trained_on: TrainedOn = TrainedOn(),  # noqa: B008  # frozen
    kept: Collection[str] = (),
) -> Contract:
    """Writes a checkpoint folder; a reader never sees half of one.

    Args:
        path: the folder; an earlier checkpoint there is replaced.
        model: in float32.
        tokenizer: of its prompts.
        normaliser: of its state and action vectors.
        embodiment: the robot it was trained for.
        views: how it sees the robot's cameras, that of both systems first; none: all of the embodiment's first camera.
        card: text of the model card.
        dtype: of the stored weights; float16 halves the file, sessions compute in float32 anyway. See `kept`.
        weights: the model's state dict, where training has left the model itself in pieces.
        layout: of the model's own vectors; its slot is the robot's where the model has none of the robot's name.
        instruction_prefix: text that the model expects before every instruction.
        trained_on: what it was asked to do in training.
        kept: names of tensors that must not be rounded, such as those that never learned: they get another dtype where `dtype` would.

    Returns:
        The contract, with the model id of what was stored.

    Raises:
        DialError: model, normaliser and embodiment do not fit each other, or `path` holds something else.
    """
    path = Path(path)
    _check_widths(model.arch, normaliser, embodiment)
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or (path / CONFIG).is_file())):
        raise DialError(f"{path} is there and is no checkpoint; choose another folder or move it away")
    with atomic_folder(path, replace=True) as staging:
        state = {
            name: tensor.detach().to("cpu", exact_dtype(tensor.detach(), dtype) if name in kept else dtype)
            for name, tensor in (weights or model.state_dict()).items()
        }
        with quiet_loading():
            model.save_pretrained(staging, state_dict=state)
        tokenizer.save_pretrained(staging)
        views = views or (view_of(model.arch, embodiment.cameras[0].name),)
        contract = make_contract(model.arch, embodiment, views, "", layout, instruction_prefix)
        _check_contract(path, model.arch, normaliser, contract)
        write_json(staging / NORMALISATION, normaliser.to_dict())
        write_text(staging / CONTRACT, contract.model_dump_json(indent=2) + "\n")
        contract = contract.model_copy(update={"model_id": policy_id(staging, weights_id(staging))})
        write_text(staging / CONTRACT, contract.model_dump_json(indent=2) + "\n")
        write_text(staging / CARD, card or _plain_card(contract))
        trained_on.save(staging)
    return contract


def load_checkpoint(path: str | Path, part: Part = "whole", dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Reads a checkpoint folder, on the CPU.

    Args:
        path: the folder.
        part: of the model to read: a node needs the weights of its own system alone.
        dtype: of the loaded weights.

    Raises:
        DialError: a file is missing or broken, tensors do not fit or are not finite, or the files do not belong together.
    """
    path = Path(path)
    missing = [name for name in REQUIRED if not (path / name).is_file()]
    if missing:
        raise DialError(f"no checkpoint at {path}: {', '.join(missing)} missing; `dial train` makes one")
    with _the_same_folder(path):
        contract = validate(Contract, _read_json(path / CONTRACT), source=path / CONTRACT)
        with quiet_loading():
            model, stored_id = model_with_weights(path, part, dtype)
        normaliser = _read_normaliser(path / NORMALISATION)
        _check_widths(model.arch, normaliser, None)
        _check_contract(path, model.arch, normaliser, contract)
        if covers_policy(contract.model_id):
            stored_id = policy_id(path, stored_id)
        if stored_id != contract.model_id:
            raise DialError(
                f"{path} has id {stored_id}, contract.json says {contract.model_id}; the folder is damaged or was edited, restore it"
            )
        require_finite_weights(path, model)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
    return Checkpoint(model, tokenizer, normaliser, contract, path)


@contextmanager
def _the_same_folder(path: Path) -> Iterator[None]:
    """Checks that what the block read at `path` was one folder: a training that saves meanwhile puts another one in its place.

    Raises:
        DialError: it was replaced, whatever the block made of the mixture.
    """
    held = os.open(path, os.O_RDONLY)  # while it is open, no other folder gets its number
    try:
        yield
    except Exception as error:
        _require_same_folder(path, held, error)
        raise
    else:
        _require_same_folder(path, held)
    finally:
        os.close(held)


def _require_same_folder(path: Path, held: int, error: Exception | None = None) -> None:
    if not path.exists() or not os.path.samestat(os.fstat(held), path.stat()):
        raise DialError(f"{path} was replaced while it was read; load it again") from error


def weights_id(path: Path) -> str:
    """16 hex digits of the SHA-256 over the folder's architecture and stored tensors.

    Raises:
        DialError: config.json has no architecture, or a file cannot be read; the message names it.
    """
    return TensorFile(path / WEIGHTS).digest(architecture_in(path))


def make_random_checkpoint(
    path: str | Path, seed: int = 0, preset: str = "dial_tiny", embodiment: str = "gr1", camera: str = "ego"
) -> Contract:
    """A complete checkpoint with random weights: to bring the nodes up before anything is trained.

    Chunks come out small and around the home position, so that they are harmless on a robot in simulation.
    """
    robot = load_embodiment(embodiment)
    model = DialModel.from_preset(preset, seed)
    joints = robot.joint_slice
    mean, spread = np.zeros(robot.state_dim), np.full(robot.state_dim, 0.1)
    mean[joints] = robot.home_position
    normaliser = Normaliser(mean, spread, mean, spread, raw=np.zeros(robot.state_dim, bool))
    card = f"# Random weights\n\nPreset {preset}, seed {seed}. Not trained: for tests of the plumbing only.\n"
    return save_checkpoint(path, model, tiny_tokenizer(), normaliser, robot, (view_of(model.arch, camera),), card, torch.float16)


def view_of(arch: Architecture, camera: str) -> CameraView:
    """A camera's view at the model's resolution, cropped in its centre if the aspect ratio differs."""
    return CameraView(name=camera, height=arch.image.height, width=arch.image.width)


def _check_widths(arch: Architecture, normaliser: Normaliser, embodiment: Embodiment | None) -> None:
    """Checks the widths of model and vectors; a wider model gets vectors padded with zeros."""
    widths = {"state": (arch.state_dim, normaliser.state_dim), "action": (arch.action_dim, normaliser.action_dim)}
    for name, (room, got) in widths.items():
        if got > room:
            raise DialError(f"{name} width: the model has room for {room}, the statistics have {got}")
    if embodiment is not None and normaliser.action_dim != embodiment.state_dim:
        raise DialError(f"vector width: embodiment '{embodiment.name}' has {embodiment.state_dim}, the statistics {normaliser.action_dim}")


def _check_contract(path: Path, arch: Architecture, normaliser: Normaliser, contract: Contract) -> None:
    """Checks that the contract states what the model computes."""
    if contract.slot >= len(arch.embodiments):
        raise DialError(f"{path / CONTRACT}: slot {contract.slot}, but the model has {len(arch.embodiments)}; restore the folder")
    computed = {
        "horizon": arch.horizon,
        "state_dim": normaliser.action_dim,  # of a state before it is encoded, which is as wide as an action
        "action_dim": normaliser.action_dim,
        "foresight_shape": arch.intent_shape,
    }
    wrong = [
        f"{key} {getattr(contract, key)}, the model's is {value}" for key, value in computed.items() if getattr(contract, key) != value
    ]
    size = (arch.image.height, arch.image.width)
    wrong += [
        f"camera '{view.name}' {view.height}x{view.width}, the model's images are {size[0]}x{size[1]}"
        for view in contract.views
        if (view.height, view.width) != size
    ]
    if len(contract.views) >= arch.image_types:
        wrong.append(f"{len(contract.views)} cameras, the model has room for {arch.image_types - 1}")
    if wrong:
        raise DialError(f"{path / CONTRACT} was made for another model: {'; '.join(wrong)}; restore the folder")


def _read_normaliser(path: Path) -> Normaliser:
    try:
        return Normaliser.from_dict(_read_json(path))
    except DialError as error:
        raise DialError(f"{path}: {error}; restore the file, or train again (`dial train` writes it)") from error


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise DialError(f"{path} cannot be read: {error}") from error


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Context without the progress bars of transformers, which do not belong in a node's log."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _plain_card(contract: Contract) -> str:
    return f"# DIAL checkpoint {contract.model_id}\n\nEmbodiment {contract.embodiment}, camera {contract.camera}.\n"
