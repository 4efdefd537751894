"""The authors' public release and this model: the same tensors under other names (model.md, "Parity").

The release is `xpeng-robotics/DIAL` (Apache-2.0). Its queries are rows of the vocabulary, its frozen vision tower is stored
three times. Names are mapped here, the configuration in `architecture`; files are read elsewhere.
"""

import re
from collections.abc import Mapping

import torch

from dial_core.errors import DialError
from dial_core.model.configuration import Architecture

# Ours -> the release's, applied in this order; a state dict is mapped through it both ways.
RENAMED = (
    (r"^system2\.backbone\.", "backbone.vlm_model."),
    (r"^system2\.foresight_head\.", "bridge_projector."),
    (r"^system2\.world_head\.", "bridge_projector_for_loss."),
    (r"^system1\.image_type$", "image_type_embedding.weight"),
    (r"^system1\.position$", "action_head.position_embedding.weight"),
    (r"^system1\.fusion\.norm\.", "action_head.vlln."),
    (r"^system1\.fusion\.", "action_head.vl_self_attention.transformer_"),
    (r"^system1\.decoder\.time\.layer", "action_head.model.timestep_encoder.timestep_embedder.linear_"),
    (r"^system1\.decoder\.out_modulation\.", "action_head.model.proj_out_1."),
    (r"^system1\.decoder\.out\.", "action_head.model.proj_out_2."),
    (r"^system1\.decoder\.", "action_head.model.transformer_"),
    (r"^system1\.action_head\.", "action_head.action_decoder."),
    (r"^system1\.action_encoder\.w", "action_head.action_encoder.W"),
    (r"^system1\.", "action_head."),
)
IN_BLOCKS = (
    (r"\.attention\.query\.", ".attn1.to_q."),
    (r"\.attention\.key\.", ".attn1.to_k."),
    (r"\.attention\.value\.", ".attn1.to_v."),
    (r"\.attention\.out\.", ".attn1.to_out.0."),
    (r"\.ffn\.up\.", ".ff.net.0.proj."),
    (r"\.ffn\.down\.", ".ff.net.2."),
    (r"\.norm2\.", ".norm3."),
    (r"\.modulation\.", ".norm1.linear."),
)
PER_EMBODIMENT = re.compile(r"^action_head\.(state_encoder|action_encoder|action_decoder)\.")
QUERIES = "system2.queries"
EMBEDDING = "backbone.vlm_model.language_model.embed_tokens.weight"
TOWER = "backbone.vlm_model.visual."
TOWER_COPIES = ("bridge_vision_model.", "bridge_goal_model.")
WORLD_HEAD = "bridge_projector_for_loss."
UNUSED = "action_head.future_tokens.weight"  # of no rows in DIAL


def release_name(name: str) -> str:
    """The release's name of one of our parameters; the queries have none of their own."""
    for pattern, replacement in RENAMED:
        name, count = re.subn(pattern, replacement, name)
        if count:
            break
    if ".transformer_blocks." in name:
        for pattern, replacement in IN_BLOCKS:
            name = re.sub(pattern, replacement, name)
    if PER_EMBODIMENT.match(name):
        name = re.sub(r"\.bias$", ".b", re.sub(r"\.weight$", ".W", name))
    return name


def to_release(state: Mapping[str, torch.Tensor], arch: Architecture) -> dict[str, torch.Tensor]:
    """Our state dict as the release's: queries in the vocabulary, the vision tower three times."""
    tensors = {release_name(name): tensor for name, tensor in state.items() if name != QUERIES}
    table, queries = tensors[EMBEDDING], state[QUERIES]
    if arch.tokens.query is None:
        tensors[EMBEDDING] = torch.cat([table, queries.to(table.dtype)])
    else:
        tensors[EMBEDDING] = table.clone()
        tensors[EMBEDDING][arch.tokens.query : arch.tokens.query + len(queries)] = queries.to(table.dtype)
    for copy in TOWER_COPIES:
        tensors |= {copy + name.removeprefix(TOWER): tensor.clone() for name, tensor in tensors.items() if name.startswith(TOWER)}
    tensors[UNUSED] = table.new_zeros(0, arch.decoder.width)
    return tensors


def from_release(tensors: Mapping[str, torch.Tensor], arch: Architecture, ours: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    """The release's state dict as ours.

    Args:
        tensors: all of the release's, without a common prefix.
        arch: what they make up (`architecture.architecture_of`).
        ours: name and shape of every parameter of our model.

    Raises:
        DialError: a tensor is unknown, missing or of another shape, or the copies of the vision tower differ; all are listed.
    """
    left = dict(tensors)
    faults = _drop_what_is_stored_twice(left)
    table = left.get(EMBEDDING)
    if table is None:
        raise DialError(f"the release's checkpoint has no {EMBEDDING}")
    count, state = arch.foresight_tokens, {}
    first = arch.text.vocabulary if arch.tokens.query is None else arch.tokens.query
    state[QUERIES] = table[first : first + count].clone()
    left[EMBEDDING] = table[: arch.text.vocabulary]
    for name, shape in ours.items():
        if name != QUERIES:
            tensor = left.pop(release_name(name), None)
            if tensor is None:
                faults.append(f"missing: {release_name(name)} {tuple(shape)}")
            elif tensor.shape != shape:
                faults.append(f"shape: {release_name(name)} is {tuple(tensor.shape)}, expected {tuple(shape)}")
            else:
                state[name] = tensor
    faults += [f"unknown: {name} {tuple(tensor.shape)}" for name, tensor in sorted(left.items())]
    if faults:
        raise DialError("the release's checkpoint does not make up this model; nothing was imported:\n  " + "\n  ".join(faults))
    return state


def _drop_what_is_stored_twice(tensors: dict[str, torch.Tensor]) -> list[str]:
    """Removes the copies of the vision tower and the empty table; returns what differs."""
    faults = []
    for name in [name for name in tensors if name.startswith(TOWER_COPIES)]:
        original = TOWER + name.split(".", 1)[1]
        copy = tensors.pop(name)
        if original not in tensors or not torch.equal(copy, tensors[original]):
            faults.append(f"differs from {original}: {name}; the three vision towers must be the same frozen one")
    if UNUSED in tensors and not len(tensors[UNUSED]):
        del tensors[UNUSED]
    return faults
