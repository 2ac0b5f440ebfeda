"""A shuffled order of 0 .. size - 1 that is computed, never laid out."""

from __future__ import annotations

from hashlib import blake2b

_ROUNDS = 4


class Permutation:
    """Gives each index of 0 .. `size` - 1 another place, each place once; which one depends on `seed` alone.

    A Feistel network of four rounds (Luby and Rackoff 1988) on the smallest even number of bits that holds `size`;
    what falls outside is put in again until it falls inside (cycle walking: Black and Rogaway 2002, section 3).
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = str(seed).encode()
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)

    def __call__(self, index: int) -> int:
        while True:
            index = self._once(index)
            if index < self._size:
                return index

    def _once(self, index: int) -> int:
        mask = (1 << self._half) - 1
        left, right = index >> self._half, index & mask
        for round_number in range(_ROUNDS):
            left, right = right, left ^ (self._mixed(round_number, right) & mask)
        return left << self._half | right

    def _mixed(self, round_number: int, half: int) -> int:
        return int.from_bytes(blake2b(b"%b/%d/%d" % (self._seed, round_number, half)).digest(), "big")
