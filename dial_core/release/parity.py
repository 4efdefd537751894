"""Does this model compute what the authors' release computes? Maximum absolute errors of every quantity of a stored case.

A case holds inputs and the release's results (`case.expected_*`, the losses of both stages in the metadata).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.model.flow_matching import embedding_time
from dial_core.release.folder import Release, import_model, read_release

TOLERANCE = 1e-4
STAGES = {"golden": "warmup", "end2end": "end_to_end"}  # the release's name -> ours
LOSSES = {"bridge_loss": "world_loss", "action_loss": "action_loss", "loss": "loss"}
INPUTS = (
    "input_ids",
    "attention_mask",
    "pixel_values",
    "goal_pixel_values",
    "image_grid_thw",
    "state",
    "action",
    "action_mask",
    "embodiment_id",
    "inference_noise",
    "training_noise",
    "training_tau",
)  # `case.<name>`
RESULTS = {
    "vit_obs": "ViT tokens, view",
    "vit_goal": "ViT tokens, goal",
    "query_hidden": "query hidden states",
    "foresight": "foresight",
    "condition_before_fusion": "condition before fusion",
    "condition_after_fusion": "condition after fusion",
    "velocity_hidden": "velocity hidden states",
    "actions": "actions",
}  # `case.expected_<key>` -> name in the table


@dataclass(frozen=True)
class Row:
    """One quantity: its largest absolute error and the largest magnitude expected."""

    quantity: str
    error: float
    scale: float

    @property
    def within(self) -> bool:
        """Not off by more than the tolerance; a NaN is."""
        return self.error <= TOLERANCE


def parity(path: str | Path) -> list[Row]:
    """All rows of a file of the form of the release's parity case.

    Raises:
        DialError: the file holds no case, or its tensors do not make up a model.
    """
    release = read_release(path)
    missing = [name for name in (*INPUTS, *(f"expected_{key}" for key in RESULTS)) if name not in release.case]
    missing += [f"losses.{stage}.{name}" for stage in STAGES for name in LOSSES if name not in release.losses.get(stage, {})]
    if missing:
        raise DialError(f"{path} holds no complete parity case; missing: {', '.join(missing)}")
    slots = release.case["embodiment_id"]
    if slots.min() < 0 or slots.max() >= len(release.arch.embodiments):
        raise DialError(f"{path}: embodiment_id {slots.tolist()}; the model has slots 0 to {len(release.arch.embodiments) - 1}")
    return compare(import_model(release), release)


def compare(model: DialModel, release: Release) -> list[Row]:
    """The rows for a model in evaluation mode and the case of a release."""
    case, rows = release.case, []
    expected = {key: case[f"expected_{key}"] for key in RESULTS}
    for key, value in results(model, case).items():
        if key == "velocity_hidden":
            pairs = enumerate(zip(value, expected[key], strict=True))
            rows += [_row(f"{RESULTS[key]}, step {k}", mine, theirs) for k, (mine, theirs) in pairs]
        else:
            rows.append(_row(RESULTS[key], value, expected[key]))
    if "flow_step_buckets" in case:
        steps = len(case["flow_step_buckets"])
        rows.append(_row("time buckets", embedding_time(model.arch.flow, torch.arange(steps) / steps), case["flow_step_buckets"].float()))
    for stage, found in losses(model, case).items():
        for name, loss in release.losses.get(stage, {}).items():
            rows.append(_row(f"{STAGES[stage]}: {LOSSES[name]}", torch.tensor(found[name]), torch.tensor(loss)))
    return rows


@torch.no_grad()
def results(model: DialModel, case: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What the model makes of a case's inputs, by the keys of RESULTS."""
    system1, embodiment, noise = model.system1, case["embodiment_id"], case["inference_noise"]
    ids, mask, view, goal = _inputs(model, case)
    query_hidden = model.system2.query_states(view, ids, mask)
    foresight, _ = model.system2.both_heads(query_hidden)
    fused = model.condition(foresight, view)
    cache = system1.decoder.condition_cache(fused)
    state = system1.encode_state(case["state"].squeeze(1), embodiment)
    steps = len(case["flow_step_buckets"]) if "flow_step_buckets" in case else 4
    chunk, hidden = noise, []
    for step in range(steps):
        steering = system1.steering(torch.full((len(noise),), step / steps), embodiment)
        hidden.append(system1.velocity_hidden(cache, state, chunk, steering, embodiment))
        chunk = chunk + system1.action_head(hidden[-1][:, -noise.shape[1] :], embodiment) / steps
    return {
        "vit_obs": view,
        "vit_goal": goal,
        "query_hidden": query_hidden,
        "foresight": foresight,
        "condition_before_fusion": system1.typed(foresight, view),
        "condition_after_fusion": fused,
        "velocity_hidden": torch.stack(hidden),
        # By the sampler that sessions use, with its cached keys and values.
        "actions": model.sample_chunk(fused, case["state"].squeeze(1), noise, steps, embodiment),
    }


@torch.no_grad()
def losses(model: DialModel, case: Mapping[str, torch.Tensor]) -> dict[str, dict[str, float]]:
    """The losses of both stages, in the release's words."""
    ids, mask, view, goal = _inputs(model, case)
    values = {}
    for theirs, ours in STAGES.items():
        output = model(
            stage=ours,
            image_tokens=view,
            goal_tokens=goal,
            input_ids=ids,
            attention_mask=mask,
            state=case["state"].squeeze(1),
            action=case["action"],
            action_mask=case["action_mask"],
            noise=case["training_noise"],
            tau=case["training_tau"],
            embodiment_id=case["embodiment_id"],
        )
        values[theirs] = {name: float(output[key]) for name, key in LOSSES.items()}
    return values


def make_case(model: DialModel, seed: int = 0) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, float]]]:
    """A case of random inputs, two samples, one of them left-padded, with this model's own results and losses.

    To be written by `export_release`: read back by `parity`, it shows that naming and configuration survive.
    """
    arch, rng = model.arch, torch.Generator().manual_seed(seed)
    grid, count, padding = arch.patch_grid, arch.foresight_tokens, 3
    first = arch.text.vocabulary if arch.tokens.query is None else arch.tokens.query
    special = set(arch.tokens.model_dump().values())
    words = torch.tensor([row for row in range(min(first, arch.text.vocabulary)) if row not in special][:64])

    def prompt(length: int) -> list[int]:
        text = words[torch.randint(len(words), (length,), generator=rng)].tolist()
        image = [arch.tokens.vision_start, *[arch.tokens.image] * count, arch.tokens.vision_end]
        return [*image, *text, *range(first, first + count)]

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng)

    rows = [[arch.tokens.pad] * padding + prompt(4), prompt(4 + padding)]
    patches = (2 * grid[0] * grid[1], 3 * 2 * arch.vision.patch_size**2)
    chunk = (2, arch.horizon, arch.action_dim)
    steps = 4
    case = {
        "input_ids": torch.tensor(rows),
        "attention_mask": torch.tensor([[0] * padding + [1] * (len(rows[0]) - padding), [1] * len(rows[1])]),
        "pixel_values": normal(*patches),
        "goal_pixel_values": normal(*patches),
        "image_grid_thw": torch.tensor([[1, *grid]] * 2),
        "state": normal(2, 1, arch.state_dim),
        "action": normal(*chunk),
        "action_mask": (torch.rand(chunk, generator=rng) > 0.2).float(),
        "embodiment_id": torch.tensor([0, len(arch.embodiments) - 1]),
        "inference_noise": normal(*chunk),
        "training_noise": normal(*chunk),
        "training_tau": torch.rand(2, generator=rng),
        "flow_step_buckets": embedding_time(arch.flow, torch.arange(steps) / steps).long(),
    }
    found = results(model, case)
    return case | {f"expected_{key}": value for key, value in found.items()}, losses(model, case)


def _inputs(model: DialModel, case: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prompts without their queries, their masks, and the tokens of view and goal."""
    count, batch = model.arch.foresight_tokens, len(case["input_ids"])
    patches = [case[key].unflatten(0, (batch, -1)) for key in ("pixel_values", "goal_pixel_values")]
    view, goal = (model.vision.patch_tokens(model.backbone.visual, each) for each in patches)
    return case["input_ids"][:, :-count], case["attention_mask"][:, :-count], view, goal


def _row(quantity: str, mine: torch.Tensor, theirs: torch.Tensor) -> Row:
    if mine.shape != theirs.shape:
        raise DialError(f"{quantity}: shape {tuple(mine.shape)}, the case expects {tuple(theirs.shape)}")
    return Row(quantity, float((mine - theirs).abs().max()), float(theirs.abs().max()))
