"""Stops a run before a step with a loss spike, or with a gradient that is not finite, changes the weights."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from torch import nn

from dial_core.errors import DialError
from dial_core.files.atomic import write_json

_WINDOW = 100  # losses whose median is the usual one
_SETTLED = 50  # losses before a spike is one: a run's first losses fall by orders of magnitude
REPORT = "stopped.json"
LOSSES = "losses.json"  # of a checkpoint: the losses before it


@dataclass(frozen=True)
class StepFacts:
    """What one step showed, the same on every process.

    Attributes:
        step: number of the step that was about to be taken.
        loss: its loss; `parts` the named losses it is made of.
        gradient_norm: over all parameters, before clipping.
        learning_rates: one a parameter group.
        first_draw, last_draw: numbers of the samples in the batch; the same numbers give the same samples again.
    """

    step: int
    loss: float
    parts: dict[str, float]
    gradient_norm: float
    learning_rates: list[float]
    first_draw: int
    last_draw: int


class Watch:
    """Compares every loss with the median of the losses before it."""

    def __init__(self, spike_factor: float, folder: Path) -> None:
        self.spike_factor, self.folder = spike_factor, folder
        self.losses: deque[float] = deque(maxlen=_WINDOW)

    def save(self, checkpoint: Path) -> None:
        """Writes the losses so far into a checkpoint folder."""
        write_json(checkpoint / LOSSES, list(self.losses))

    def resume(self, checkpoint: Path) -> None:
        """Continues with the losses before `checkpoint`: the spike that stopped a run stops it again when it resumes."""
        if (checkpoint / LOSSES).exists():  # older checkpoints have none
            self.losses.extend(json.loads((checkpoint / LOSSES).read_text(encoding="utf-8")))

    def judge(self, facts: StepFacts, model: nn.Module, newest: Path | None, taken: bool = False) -> None:
        """Records a step, or refuses it.

        Args:
            model: whose gradients are asked for names where they are not finite.
            newest: checkpoint that a resumed run would start from.
            taken: whether the step has been taken already: DeepSpeed does that with the backward pass.

        Raises:
            DialError: the step must not be taken; the facts are in the run folder's `stopped.json`.
        """
        usual = median(self.losses) if self.losses else math.nan
        trouble = self._trouble(facts, usual)
        if not trouble:
            self.losses.append(facts.loss)
            return
        broken = _not_finite(model)
        report = asdict(facts) | {"trouble": trouble, "usual_loss": usual, "gradients_not_finite": broken}
        write_json(self.folder / REPORT, report)
        touched = "The step was taken already, as DeepSpeed does with the backward pass" if taken else "The weights were not touched"
        raise DialError(
            f"Stopped {'after' if taken else 'before'} step {facts.step}: {trouble}. Parts: {_shown(facts.parts)}; "
            f"gradient norm {facts.gradient_norm:.4g}"
            + (f", not finite in {', '.join(broken[:3])} and {max(0, len(broken) - 3)} more" if broken else "")
            + f"; learning rates {', '.join(f'{rate:.2g}' for rate in facts.learning_rates)}; "
            f"samples {facts.first_draw} to {facts.last_draw}. {touched}; all of it is in {self.folder / REPORT}. "
            f"Next: look at these samples; with better data, or a larger `spike_factor`, the same command resumes from "
            f"{newest or 'the beginning'}. Another `learning_rate` or `clip_norm` is another run: choose another --out."
        )

    def _trouble(self, facts: StepFacts, usual: float) -> str:
        if not math.isfinite(facts.loss):
            return f"the loss is {facts.loss}"
        if not math.isfinite(facts.gradient_norm):
            return f"the gradient's norm is {facts.gradient_norm}"
        if len(self.losses) >= _SETTLED and facts.loss > self.spike_factor * usual:
            return (
                f"the loss is {facts.loss:.4g}, {facts.loss / usual:.0f} times the median {usual:.4g} of the last {len(self.losses)} steps"
            )
        return ""


def _not_finite(model: nn.Module) -> list[str]:
    """Names of the parameters whose gradient (this process's part of it) is not finite."""
    gradients = ((name, parameter.grad) for name, parameter in model.named_parameters() if parameter.grad is not None)
    return [name for name, gradient in gradients if not bool(local(gradient).isfinite().all())]


def local(tensor):
    """This process's part of a sharded tensor (FSDP2's DTensor), or the tensor itself."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _shown(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in parts.items()) or "none"
