"""What a device can do at best: bytes and floating-point operations a second. The roofline that floors are computed with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dial_core.benchmarks.timing import latency_of

# Bytes/s and bf16 FLOP/s that large copies and products sustain on the card; what the data sheet promises is more.
KNOWN = {"H200": (4.3e12, 790e12)}
REFERENCE = "H200"  # whose floors a count without a device shows


@dataclass(frozen=True)
class Roofline:
    """`bytes_per_s` from memory, `flops_per_s` in the dtype of the run; `source` says whether they were measured here."""

    name: str
    bytes_per_s: float
    flops_per_s: float
    source: str

    def floor_s(self, size_bytes: float, flops: float) -> float:
        """No call that reads this much and computes this much can be faster [s]."""
        return max(size_bytes / self.bytes_per_s, flops / self.flops_per_s)


def roofline_of(device: torch.device, dtype: torch.dtype) -> Roofline:
    """The device's roofline: known, or measured in a second or two; the reference card's for the meta device."""
    if device.type == "meta":
        return Roofline(f"nothing measured; floors of one {REFERENCE}", *KNOWN[REFERENCE], "table")
    if device.type != "cuda":
        return Roofline(f"CPU, {torch.get_num_threads()} thread(s)", *_measured(device, dtype, 64 << 20, 1024), "measured")
    name = torch.cuda.get_device_name(device)
    for known, peaks in KNOWN.items():
        if known in name:
            return Roofline(name, *peaks, "table")
    return Roofline(name, *_measured(device, dtype, 2 << 30, 8192), "measured")


def _measured(device: torch.device, dtype: torch.dtype, size_bytes: int, width: int) -> tuple[float, float]:
    source = torch.empty(size_bytes // 4, dtype=torch.float32, device=device).fill_(1.0)
    read = latency_of(lambda: source.sum(), device, 20, 2.0)
    left = torch.randn(width, width, device=device).to(dtype)
    product = latency_of(lambda: left @ left, device, 20, 2.0)
    return size_bytes / read.median_s, 2 * width**3 / product.median_s
