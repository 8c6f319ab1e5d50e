"""Thread limits: helper threads of NumPy's and OpenCV's own, which frames in parallel do without.

Frames are worked on in parallel (docs/decisions/0002), so a second thread for one small sum finds
no free core. It costs all the same: such threads wait for their next task by spinning.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["THREAD_LIMITS"]

THREAD_LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    {"OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
)
"""Environment variable -> value; read once, when NumPy, SciPy and OpenCV are first imported."""
