import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.studies.sweep import expand


def test_seconds_become_control_steps_and_axes_are_combined():
    protocols = expand(Protocol(), ["system2_period=0.25,1", "strategy=replace"], rate_hz=20.0)
    assert list(protocols) == ["system2_period 0.25 s, strategy replace", "system2_period 1 s, strategy replace"]
    assert [protocol.system2_period_steps for protocol in protocols.values()] == [5, 20]
    assert {protocol.strategy for protocol in protocols.values()} == {"replace"}
    assert len({protocol.hash for protocol in protocols.values()}) == 2


@pytest.mark.parametrize("sweep", ["seed=1,2", "system2_period", "system2_period=", "system2_period=soon", "execute_steps=0"])
def test_what_cannot_be_swept_is_refused(sweep):
    with pytest.raises(DialError, match="--sweep"):
        expand(Protocol(), [sweep], rate_hz=20.0)
