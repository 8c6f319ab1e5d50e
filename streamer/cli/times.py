"""Times on the command line."""

from __future__ import annotations

from fractions import Fraction

from engines.errors import ConfigError

__all__ = ["parse_time_s"]


def parse_time_s(text: str) -> Fraction:
    """Seconds, MM:SS or H:MM:SS, each with decimals, to seconds.

    Raises:
        ConfigError: it is none of these.
    """
    parts = text.split(":")
    try:
        if not 1 <= len(parts) <= 3:
            raise ValueError
        numbers = [Fraction(part) for part in parts]
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"{text!r} is no time; write seconds, MM:SS or H:MM:SS") from None
    seconds = Fraction(0)
    for number in numbers:
        seconds = seconds * 60 + number
    return seconds
