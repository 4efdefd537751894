"""A node that refuses a parameter has ended before anything large is imported: on a busy machine that takes it tens of seconds."""

import subprocess
import sys

import pytest

LARGE = {"torch", "transformers", "scipy"}


@pytest.mark.parametrize("node", ["system1", "system2", "guard"])
def test_importing_a_node_imports_no_large_library(node):
    code = f"import sys, dial_ros.{node}.{node}_node; print(*{LARGE} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""
