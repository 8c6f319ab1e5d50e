"""A bar chart as SVG text, so that a plot needs no further package."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

__all__ = ["bar_svg"]

_NAME_PX: Final = 300
_BAR_PX: Final = 360
_VALUE_PX: Final = 80
_ROW_PX: Final = 20
_TOP_PX: Final = 30
_COLOUR: Final = "#2b6cc2"


def bar_svg(title: str, bars: Mapping[str, float], *, unit: str) -> str:
    """Horizontal bars, one a line, longest at full width.

    Args:
        title: above them.
        bars: name to value, not negative.
        unit: behind each value.
    """
    longest = max(bars.values(), default=0.0) or 1.0
    width, height = _NAME_PX + _BAR_PX + _VALUE_PX, _TOP_PX + _ROW_PX * len(bars) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for row, (name, value) in enumerate(bars.items()):
        y = _TOP_PX + _ROW_PX * row
        length = _BAR_PX * value / longest
        parts += [
            f'<text x="{_NAME_PX - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_NAME_PX}" y="{y + 2}" width="{length:.1f}" height="{_ROW_PX - 6}" '
            f'fill="{_COLOUR}"/>',
            f'<text x="{_NAME_PX + length + 6:.1f}" y="{y + 13}">{value:.3g} {escape(unit)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
