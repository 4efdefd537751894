import math

import pytest
from torch import nn

from dial_core.errors import DialError
from dial_core.training.health import StepFacts, Watch


def facts(step: int, loss: float, norm: float = 1.0) -> StepFacts:
    return StepFacts(step, loss, {"world_loss": loss / 2}, norm, [1e-4], 8 * step, 8 * step + 7)


def watched(tmp_path, losses: list[float]) -> Watch:
    watch = Watch(10.0, tmp_path)
    for step, loss in enumerate(losses):
        watch.judge(facts(step, loss), nn.Linear(1, 1), None)
    return watch


def test_a_spike_is_detected_by_the_median_of_the_losses_before_it(tmp_path):
    watch = watched(tmp_path, [1.0] * 60 + [9.0])
    with pytest.raises(DialError, match=r"the loss is 11, 11 times the median 1 of the last 61 steps.*world_loss 5\.5.*the beginning"):
        watch.judge(facts(61, 11.0), nn.Linear(1, 1), None)


def test_the_first_steps_of_a_run_may_be_wild(tmp_path):
    watched(tmp_path, [1.0] * 20 + [100.0] + [1.0] * 20)


def test_a_long_fall_of_the_loss_makes_no_later_step_a_spike(tmp_path):
    watched(tmp_path, [math.exp(-step / 30) for step in range(300)])


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_never_applied(tmp_path, norm):
    with pytest.raises(DialError, match="gradient's norm is"):
        watched(tmp_path, []).judge(facts(0, 1.0, norm), nn.Linear(1, 1), tmp_path / "checkpoint-3")


@pytest.mark.parametrize(
    ("taken", "error"), [(False, "Stopped before step 0.*not touched"), (True, "Stopped after step 0.*was taken already")]
)
def test_a_step_that_was_taken_already_is_reported(tmp_path, taken, error):
    with pytest.raises(DialError, match=error):
        watched(tmp_path, []).judge(facts(0, math.nan), nn.Linear(1, 1), None, taken)
