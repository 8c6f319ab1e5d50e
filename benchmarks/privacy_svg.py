"""Plots as SVG text: no dependency, and they live inside the HTML report and the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

__all__ = ["bar_chart", "line_chart"]

_COLOURS: Final = ("#c2572b", "#2b6cc2", "#3a8f4d", "#8a5bb5", "#8c7a2e", "#5d6b7a")
_WIDTH: Final = 720
_LINE_HEIGHT: Final = 320
_MARGIN: Final = (50, 16, 170, 44)  # left, top, right, bottom
_BAR_PX: Final = 20
_TICKS: Final = 5

Points = Sequence[tuple[float, float]]


def line_chart(title: str, axes: tuple[str, str], series: Mapping[str, Points]) -> str:
    """Lines with dots.

    Args:
        title: above the plot.
        axes: names of x and y.
        series: name to points (x, y); points that are not finite are left out.
    """
    lines = {
        name: [(x, y) for x, y in points if np.isfinite(x) and np.isfinite(y)]
        for name, points in series.items()
    }
    everything = [point for points in lines.values() for point in points]
    if not everything:
        return ""
    low_x, high_x = _range([x for x, _ in everything])
    low_y, high_y = _range([y for _, y in everything])
    left, top, right, bottom = _MARGIN
    width, height = _WIDTH - left - right, _LINE_HEIGHT - top - bottom

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (x - low_x) / (high_x - low_x) * width
        return across, top + (1 - (y - low_y) / (high_y - low_y)) * height

    parts = [_text(left, 12, title, weight="bold")]
    for x in _ticks(low_x, high_x):
        parts.append(_text(place(x, low_y)[0], top + height + 16, f"{x:g}", anchor="middle"))
    for y in _ticks(low_y, high_y):
        parts.append(_text(left - 6, place(low_x, y)[1] + 4, f"{y:g}", anchor="end"))
        parts.append(_rule(left, place(low_x, y)[1], left + width))
    for index, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        places = [place(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(_text(left + width + 10, top + 14 + 16 * index, name, colour=colour))
    parts.append(_text(left + width / 2, _LINE_HEIGHT - 8, axes[0], anchor="middle"))
    parts.append(_text(left + 4, top + 10, axes[1]))
    return _svg(_LINE_HEIGHT, parts)


def bar_chart(title: str, bars: Mapping[str, tuple[float, float, float]], limit: float) -> str:
    """Horizontal bars with their intervals.

    Args:
        title: above the plot.
        bars: name to value, low and high end of its interval.
        limit: where the axis ends.
    """
    left, top = 260, 24
    width = _WIDTH - left - 90
    parts = [_text(8, 14, title, weight="bold")]
    for index, (name, (value, low, high)) in enumerate(bars.items()):
        y = top + index * _BAR_PX
        if not np.isfinite(value):
            continue
        colour = _COLOURS[0] if name.startswith("ours") else _COLOURS[5]
        scale = width / limit
        parts.append(_text(left - 8, y + 13, name, anchor="end"))
        parts.append(
            f'<rect x="{left}" y="{y + 2}" width="{value * scale:.1f}" height="{_BAR_PX - 6}" '
            f'fill="{colour}" fill-opacity="0.75"/>'
        )
        parts.append(_rule(left + low * scale, y + _BAR_PX / 2 - 1, left + high * scale, "#222"))
        parts.append(_text(left + max(value, high) * scale + 6, y + 13, f"{value:.3f}"))
    return _svg(top + len(bars) * _BAR_PX + 8, parts)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in a range, about five."""
    rough = (high - low) / _TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = int(np.ceil(low / step))
    return [round(i * step, 10) for i in range(first, int(np.floor(high / step)) + 1)]


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222", weight: str = ""
) -> str:
    style = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" font-family="sans-serif" '
        f'text-anchor="{anchor}" fill="{colour}"{style}>{escape(text)}</text>'
    )


def _rule(x1: float, y: float, x2: float, colour: str = "#ddd") -> str:
    return f'<line x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}" stroke="{colour}"/>'


def _svg(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'width="{_WIDTH}" height="{height:.0f}"><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(parts)
        + "</svg>"
    )
