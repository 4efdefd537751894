"""A contract without weights. pytest test/unit/checkpoint/test_contract.py"""

import pytest

from dial_core.checkpoint.contract import read_contract
from dial_core.checkpoint.location import checkpoint_folder
from dial_core.errors import DialError


def test_a_contract_is_read_without_weights(tmp_path):
    (tmp_path / "contract.json").write_bytes((checkpoint_folder("dial_tiny") / "contract.json").read_bytes())
    assert read_contract(tmp_path) == read_contract(checkpoint_folder("dial_tiny"))
    assert read_contract(tmp_path).horizon == 16


def test_what_is_no_contract_is_named(tmp_path):
    with pytest.raises(DialError, match=r"no checkpoint at .*contract\.json cannot be read"):
        read_contract(tmp_path)
    (tmp_path / "contract.json").write_text("{half")
    with pytest.raises(DialError, match=r"contract\.json is no JSON"):
        read_contract(tmp_path)
    (tmp_path / "contract.json").write_text("{}")
    with pytest.raises(DialError, match=r"contract\.json"):
        read_contract(tmp_path)
