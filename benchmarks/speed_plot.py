"""A bar chart of costs, drawn when matplotlib happens to be installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed_measure import Cost

__all__ = ["plot_costs"]


def plot_costs(path: Path, measured: Mapping[str, Sequence[Cost | str]]) -> str:
    """Draw CPU seconds per frame, one group a clip.

    Returns:
        A line that says where the plot is, or why there is none.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return "plot: not drawn, matplotlib is not installed"
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(1, len(measured), figsize=(4.2 * len(measured), 2.8))
    for panel, (clip, costs) in zip(
        [axes] if len(measured) == 1 else axes, measured.items(), strict=False
    ):
        known = [cost for cost in costs if isinstance(cost, Cost)][::-1]
        colours = ["#c2572b" if c.name.startswith("veilstream") else "#9aa5b1" for c in known]
        bars = panel.barh(
            [cost.name for cost in known], [cost.cpu_s_per_frame for cost in known], color=colours
        )
        panel.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
        panel.margins(x=0.18)
        panel.set_title(clip, fontsize=9)
        panel.set_xlabel("CPU s per frame", fontsize=8)
        panel.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return f"plot: {path}"
