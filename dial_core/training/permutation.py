"""A random order of any number of rows in no memory: which row comes at a place is computed, not looked up."""

from __future__ import annotations

import math

import numpy as np

_ROUNDS = 6  # an even number; four suffice for an order without visible pattern
_64_BITS = 2**64 - 1


class Permutation:
    """`permutation(place)` is the row at `place` of a random order of `range(size)`; every row has one place.

    A generalised Feistel network on pairs (left, right) of Z_a x Z_b with a b >= size (Black and Rogaway, "Ciphers with Arbitrary
    Finite Domains", 2002); results beyond `size` go through it again until one lies within.
    """

    def __init__(self, size: int, seed: tuple[int, ...]) -> None:
        """A function of `size` and `seed` alone."""
        self.size = size
        self.left_size = max(1, math.isqrt(size - 1) + 1)
        self.right_size = -(-size // self.left_size)
        self.keys = [int(key) for key in np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64)]

    def __call__(self, place: int) -> int:
        """The row at `place`, 0 <= place < size."""
        row = self._once(place)
        while row >= self.size:
            row = self._once(row)
        return row

    def _once(self, place: int) -> int:
        left, right = divmod(place, self.right_size)
        for number, key in enumerate(self.keys):
            modulus = self.right_size if number % 2 else self.left_size
            left, right = right, (left + _mixed(right ^ key)) % modulus
        return left * self.right_size + right


def _mixed(value: int) -> int:
    """A 64-bit number that depends on every bit of `value` (the finalizer of splitmix64)."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _64_BITS
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _64_BITS
    return value ^ (value >> 31)
