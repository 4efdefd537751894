"""torch.compile with a cache that outlives the process: the second run of a model compiles in seconds."""

from __future__ import annotations

import os
from pathlib import Path

SHAPES = 64  # prompts come in several lengths, and each is compiled for itself


def prepare_compiler() -> None:
    """Sets where compiled code is kept (`~/.cache/dial/compiled`, or TORCHINDUCTOR_CACHE_DIR) and how many shapes may be compiled.

    Call it before the first compilation of the process.
    """
    import torch._dynamo

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dial" / "compiled"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache))
    torch._dynamo.config.recompile_limit = SHAPES


def compiler_found() -> bool:
    """Whether this machine has the C++ compiler that torch.compile and exported programs need on a CPU."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True
