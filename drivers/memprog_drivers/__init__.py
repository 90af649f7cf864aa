"""Drivers of real instruments and boards, and the one table that names them."""

from __future__ import annotations

BUILT_IN: dict[str, str] = {}
"""Backend name -> "module:Class". Empty today: only the simulated chip, backend ``sim``, comes with memprog."""
