"""Which image sizes the backbones make."""

from __future__ import annotations


def stages(size: int) -> tuple[int, int] | None:
    """(m, k) with size = m * 2^k, m from 4 to 7 and k >= 1: k doublings from m x m. None if there are none."""
    k = (size // 4).bit_length() - 1
    return (size >> k, k) if k >= 1 and size % 2**k == 0 else None


def doublings(size: int, first_side: int = 6) -> tuple[int, int]:
    """`stages` of a size that has them. With `first_side` 3 what would begin with 6 does with 3, doubled once more."""
    found = stages(size)
    assert found is not None, size
    m, k = found
    return (3, k + 1) if (m, first_side) == (6, 3) else found
