"""pytest test/unit/cli/test_interruption.py"""

import signal

import pytest

from dial_core.cli.interruption import interrupted_by_sigterm


def test_a_command_that_is_terminated_ends_as_one_that_is_interrupted():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupted_by_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
