"""Logs: one line for each event, as text or JSON, with secrets taken out."""

from __future__ import annotations

import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from streamer.redact import redact_secrets

__all__ = ["LogFormat", "set_up_logging"]

LogFormat = Literal["text", "json"]

# What every record has; whatever else is there was given as `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _TextFormatter(logging.Formatter):
    """`warning: what happened`."""

    def format(self, record: logging.LogRecord) -> str:
        return redact_secrets(f"{record.levelname.lower()}: {record.getMessage()}")


class _JsonFormatter(logging.Formatter):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        event: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_secrets(record.getMessage()),
        }
        if record.exc_info:
            event["traceback"] = redact_secrets(self.formatException(record.exc_info))
        for key, value in vars(record).items():
            if key not in _STANDARD and key not in event:
                event[key] = _clean(value)
        return json.dumps(event, ensure_ascii=False)


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second call finds it and leaves everybody else's alone."""


def _clean(value: object) -> object:
    """A value of an event as JSON knows it, without secrets."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return redact_secrets(str(value))


def set_up_logging(log_format: LogFormat = "text", stream: TextIO | None = None) -> None:
    """Send the log to a stream: warnings as text, or in JSON what a camera does as well.

    Args:
        log_format: how lines look.
        stream: where they go; standard error when None.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    # Only our own lines: libraries are talkative at this level.
    logging.getLogger("streamer").setLevel(
        logging.INFO if log_format == "json" else logging.WARNING
    )
