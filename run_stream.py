"""Command line of veilstream: anonymise video, bring faces back, look into key logs.

Exit codes: 0 done; 2 usage, configuration or password source; 3 media; 4 networks; 5 a face could
not be covered; 6 key log; 7 wrong password; 8 done, but the input was damaged or ended early;
130 interrupted, what was written is complete and playable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from engines.thread_limits import THREAD_LIMITS

# Before anything imports NumPy or OpenCV, which look only once; what the user has set stays.
os.environ.update({**THREAD_LIMITS, **os.environ})

from engines.errors import AnonymizerError
from streamer.cli.parser import build_parser
from streamer.json_logs import set_up_logging

__all__ = ["entry_point", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; None reads `sys.argv`.

    Returns:
        The exit code.
    """
    args = build_parser().parse_args(argv)
    # What could not be kept is logged as a warning where it is noticed.
    set_up_logging(getattr(args, "log_format", "text"))
    try:
        return int(args.handler(args))
    except AnonymizerError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        sys.stderr.close()
        return 0


def entry_point() -> None:
    """Console script `veilstream`."""
    sys.exit(main())


if __name__ == "__main__":
    entry_point()
