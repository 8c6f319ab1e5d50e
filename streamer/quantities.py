"""Durations and sizes as people write them: 10m, 30d, 200G."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

__all__ = ["Duration", "Size", "parse_duration", "parse_size"]

_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _parse(text: str, units: dict[str, float] | dict[str, int], example: str) -> float:
    found = _NUMBER.fullmatch(text)
    factor = units.get(found.group(2).lower()) if found else None
    if found is None or factor is None:
        raise ValueError(f"must be a number with a unit, such as {example}")
    return float(found.group(1)) * factor


def parse_duration(text: str) -> float:
    """Seconds of "90", "90s", "10m", "12h" or "30d".

    Raises:
        ValueError: it is none of these.
    """
    return _parse(text, _SECONDS, "10m (s, m, h, d)")


def parse_size(text: str) -> int:
    """Bytes of "500M", "200G" or "2T", in powers of 1000.

    Raises:
        ValueError: it is none of these.
    """
    lowered = text.strip().lower().removesuffix("ib").removesuffix("b")
    return round(_parse(lowered, _BYTES, "200G (k, M, G, T)"))


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


Duration = Annotated[float, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size)]
