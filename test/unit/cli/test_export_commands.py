"""Which program the flags of `dial export` ask for.

pytest test/unit/cli/test_export_commands.py
"""

import pytest

from dial_core.cli.export_commands import _chosen_format
from dial_core.errors import DialError


@pytest.mark.parametrize(
    ("format_", "precision", "chosen"),
    [
        ("", "", "aoti"),
        ("onnx", "", "onnx"),
        ("", "int8", "int8"),
        ("onnx", "int8", "int8"),
        ("tensorrt", "", "bf16"),
        ("tensorrt", "fp8", "fp8"),
        ("", "fp16", "fp16"),
        ("aoti", "float32", "aoti"),
    ],
)
def test_format_and_precision_choose_one_program(format_, precision, chosen):
    assert _chosen_format(format_, precision) == chosen


@pytest.mark.parametrize(
    ("format_", "precision", "said"),
    [
        ("tflite", "", "unknown format 'tflite'; formats: aoti, onnx, tensorrt"),
        ("aoti", "int8", "no format 'aoti' in precision 'int8'; choose float32"),
        ("tensorrt", "float32", "choose bf16 or fp16 or fp8"),
        ("", "int4", "no format 'aoti' in precision 'int4'"),
    ],
)
def test_a_precision_that_a_format_does_not_have_is_refused_with_those_it_has(format_, precision, said):
    with pytest.raises(DialError, match=said):
        _chosen_format(format_, precision)
