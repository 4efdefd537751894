"""How much memory a training step needs on one device, estimated from the architecture alone. Arithmetic, nothing measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.training.optimisation import Optimisation

Strategy = Literal["ddp", "fsdp2", "zero2", "zero3"]
_PROMPT_TOKENS = 30  # of chat template and instruction
_FLOAT, _HALF = 4, 2  # [bytes]
_DEEPSPEED_BUCKET = 500_000_000  # elements, two of them at work (config/deepspeed)


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by what holds them."""

    weights: float
    gradients: float
    moments: float
    average: float
    temporaries: float  # buckets, and gradients that are whole before they are shared out
    activations: float

    @property
    def total(self) -> float:
        """Sum of the parts. The allocator and the libraries take a few GB more."""
        return self.weights + self.gradients + self.moments + self.average + self.temporaries + self.activations


def memory_of(
    model: nn.Module, arch: Architecture, plan: Optimisation, samples: int, gpus: int, strategy: str, decodings: int = 1
) -> Memory:
    """What one of `gpus` devices holds while it trains `samples` foresights at a time, each with so many passes of the decoder.

    Weights that learn and the optimiser's moments are float32; with bf16 each weight that learns has a half-size copy too, and frozen ones
    are kept in bfloat16 (`frozen_weights.py`; published backbones allow it). `ddp` keeps all of it on every device; `zero2` shares
    gradients, moments and float32 weights, `fsdp2` and `zero3` all weights. FSDP2 gathers float32 weights. The fused AdamW needs no
    temporaries, and DDP's buckets are the gradients themselves.

    Raises:
        DialError: unknown strategy, or one that the optimiser cannot train with.
    """
    if strategy not in get_args(Strategy):
        raise DialError(f"unknown strategy '{strategy}'; strategies: {', '.join(get_args(Strategy))}")
    plan.check_sharding(sharded=strategy != "ddp")
    everything = sum(parameter.numel() for parameter in model.parameters())
    learning = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    states = 1 if strategy == "ddp" else gpus  # over how many devices gradients and moments are spread
    shards = gpus if strategy in ("fsdp2", "zero3") else 1
    root = _gathered(arch, everything) if shards > 1 else 0
    root_learning = max(0, root - (everything - learning))
    if strategy in ("zero2", "zero3"):  # the engine computes with weights that are bfloat16 themselves, and has a float32 copy to step
        size = _HALF if plan.bf16 else _FLOAT
        weights = size * (everything / shards + root) + _FLOAT * learning / states
        gradients = (size + (_FLOAT if plan.bf16 else 0)) * learning / states
        temporaries: float = 2 * _HALF * _DEEPSPEED_BUCKET
    else:
        frozen = frozen_bytes(model, arch, plan)
        gathered = _FLOAT * root_learning + frozen * (root > 0)
        copies = _HALF * learning if plan.bf16 else 0  # autocast keeps them for the forward pass, of what learns
        weights = (_FLOAT * learning + frozen) / shards + gathered + copies
        gradients = _FLOAT * learning / states
        temporaries = _FLOAT * root_learning  # gradients of what is gathered as one
    return Memory(
        weights=weights,
        gradients=gradients,
        moments=_FLOAT * plan.moments(model) / states,
        average=_FLOAT * learning / shards if plan.ema_decay else 0,
        temporaries=temporaries,
        activations=samples * _activations(arch, plan, decodings),
    )


def frozen_bytes(model: nn.Module, arch: Architecture, plan: Optimisation) -> float:
    """Bytes of the frozen weights while training.

    Those of a published vision-language model are values of bfloat16; a tiny model's and DINOv2's are not.
    """
    half = plan.bf16 and arch.pretrained is not None
    sizes = {False: _FLOAT, True: _HALF}
    return sum(
        sizes[half and not name.startswith("view_encoder.")] * parameter.numel()
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad
    )


def require_room(
    model: nn.Module,
    arch: Architecture,
    plan: Optimisation,
    samples: int,
    gpus: int,
    strategy: str,
    capacity_gib: float,
    decodings: int = 1,
) -> None:
    """Checks that a step of `samples` on each device is estimated to fit into its memory.

    Raises:
        DialError: it does not fit into `capacity_gib`; the message has the first micro-batch and strategy that do.
    """

    def gib(micro: int, way: str) -> float:
        return memory_of(model, arch, plan, micro, gpus, way, decodings).total / 2**30

    if gib(samples, strategy) <= capacity_gib:
        return
    shares = gpus > 1 and plan.steps_shards
    ways = [strategy, *(way for way in ("zero2", "fsdp2", "zero3") if shares and way != strategy)]
    halves = [samples >> power for power in range(samples.bit_length())]
    fitting = [(way, micro) for way in ways for micro in halves if gib(micro, way) <= capacity_gib]
    advice = "nothing does on so few GPUs: take more of them, or larger ones"
    if fitting:
        way, micro = fitting[0]
        advice = f"`--strategy {way} --micro-batch {micro}` does, with {gib(micro, way):.1f} GiB"
    raise DialError(
        f"a step needs about {gib(samples, strategy):.1f} GiB a GPU with {strategy} and micro-batches of {samples}, more than "
        f"{capacity_gib:g} GiB; {advice}"
    )


def _gathered(arch: Architecture, everything: int) -> int:
    """Weights that are whole at one time under sharding: the root (all but the layers of language model and fusion), two layers."""
    text, fusion = arch.text, arch.fusion
    keys = text.width * text.kv_heads // text.heads
    layer = 2 * text.width * (text.width + keys) + 3 * text.width * text.ffn_width
    block = 12 * fusion.width**2
    return everything - (text.layers - 2) * layer - fusion.layers * block


def _activations(arch: Architecture, plan: Optimisation, decodings: int) -> float:
    """Bytes that one sample's forward pass leaves for its backward pass."""
    size = _HALF if plan.bf16 else _FLOAT
    text, decoder, fusion = arch.text, arch.decoder, arch.fusion
    tokens = 2 * arch.foresight_tokens + _PROMPT_TOKENS
    layer = tokens * (8 * text.width + 4 * text.ffn_width)
    language = tokens * text.width * text.layers + layer if plan.gradient_checkpointing else text.layers * layer
    fused = fusion.layers * 2 * arch.foresight_tokens * 16 * fusion.width
    decoded = decoder.layers * (1 + arch.horizon) * 18 * decoder.width + decoder.layers * arch.foresight_tokens * 2 * decoder.width
    return float(size * (language + fused + decodings * decoded))
