"""The supervised side of a link: what every process that `run` starts does first."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO, Final

__all__ = ["NOT_BY_HAND", "take_standard_output"]

NOT_BY_HAND: Final = "this command is started by `run`, which says what to do"


def take_standard_output() -> BinaryIO:
    """Standard output for the link alone; what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies
