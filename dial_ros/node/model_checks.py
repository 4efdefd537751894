"""What a policy node checks before it loads a model: gigabytes are read for seconds, and a refusal after that comes too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dial_core.checkpoint.contract import read_contract
from dial_core.errors import DialError

if TYPE_CHECKING:
    from dial_core.checkpoint.contract import Contract
    from dial_core.robot.embodiment import Embodiment
    from dial_ros.node.lifecycle import DialNode


def require_loadable(node: DialNode, embodiment: Embodiment) -> Contract:
    """Returns the contract of the node's checkpoint, once its device, runtime, embodiment and camera fit; reads no weights.

    Raises:
        DialError: the device does not exist, the runtime does not run on it, or the checkpoint was made for another robot or camera.
    """
    import torch  # seconds, as the next two

    from dial_core.inference.programs import runtime_for
    from dial_core.inference.ready import require_device

    require_device(node.value("device"))
    runtime_for(node.value("runtime"), torch.device(node.value("device")))
    contract = read_contract(node.value("checkpoint"))
    contract.require(embodiment, node.value("camera"))
    return contract


def require_predicted(contract: Contract, timeout_s: float) -> None:
    """Checks that a foresight is used for no longer than it predicts. Raises DialError if `timeout_s` [s] is more."""
    horizon_s = contract.horizon / contract.rate_hz
    if timeout_s > horizon_s + 1e-9:
        raise DialError(f"foresight_timeout is {timeout_s} s, but this checkpoint predicts only {horizon_s} s ahead; give at most that")
