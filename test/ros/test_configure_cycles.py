"""A System-2 that is configured again and again gives back what it occupied (without `return_memory` it grows by 5 MiB a cycle)."""

import json
import os
import subprocess
import sys

import pytest

from .conftest import ENVIRONMENT

pytestmark = pytest.mark.ros

LIMIT_MB = 20.0


def test_system2_does_not_grow_over_configure_cycles(domain):
    command = [sys.executable, "-m", "dial_ros.benchmarks.configure_cycles", "--cycles", "12", "--limit-mb", str(LIMIT_MB)]
    variables = dict(os.environ) | ENVIRONMENT | {"ROS_DOMAIN_ID": str(domain)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["growth_mb"] < LIMIT_MB
