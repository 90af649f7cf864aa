"""Which tensors go onto the chip, and which stay digital."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from memprog.errors import InputError
from memprog.tensors import Tensor

_NAMES_SHOWN = 10


def select_layers(tensors: Mapping[str, Tensor], only: Sequence[str], skip: Sequence[str]) -> list[str]:
    """Name the tensors to map, in their order: those of two or more dimensions that the patterns let through.

    Args:
        tensors: all tensors of a weights file.
        only: shell patterns; without any, every matrix is let through.
        skip: shell patterns of what stays digital; they win over ``only``.

    Raises:
        InputError: a pattern that matches nothing, or no tensor is left.
    """
    matrices = [name for name, tensor in tensors.items() if tensor.bits.ndim >= 2]
    if not matrices:
        raise InputError("no tensor has two or more dimensions, so there is nothing to write into conductances")
    _check_patterns("--only", only, matrices)
    _check_patterns("--skip", skip, tensors)
    chosen = [name for name in matrices if (not only or _matches(name, only)) and not _matches(name, skip)]
    if not chosen:
        raise InputError(f"--only and --skip leave none of the {len(matrices)} matrices to map")
    return chosen


def _check_patterns(option: str, patterns: Sequence[str], names: Collection[str]) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            some = ", ".join(list(names)[:_NAMES_SHOWN])
            raise InputError(
                f"{option} '{pattern}' matches none of the {len(names)} tensors that could be meant, such as {some}"
            )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
