"""Every error this project raises on purpose, with the exit code of its family.

AnonymizerError            exit 1
  ConfigError                   2   bad option, configuration or password source
  MediaError                    3   SourceOpenError (SourceRefusedError, SourceSilentError),
                                    SourceLostError, SinkError
  EngineError                   4   EngineLoadError, EngineRunError
  CoverageError                 5   a tracked face could not be covered
  KeyLogError                   6   KeyLogFormatError, KeyLogTruncatedError, KeyLogTamperedError,
                                    KeyLogExpiredError
  WrongPasswordError            7   the password does not open the key log

Exit code 130 is an interruption that ended cleanly, 64 is reserved for usage errors of the command
line parser. Misuse by a programmer stays `ValueError` or `TypeError`.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

__all__ = [
    "AnonymizerError",
    "ConfigError",
    "CoverageError",
    "EngineError",
    "EngineLoadError",
    "EngineRunError",
    "KeyLogError",
    "KeyLogExpiredError",
    "KeyLogFormatError",
    "KeyLogTamperedError",
    "KeyLogTruncatedError",
    "MediaError",
    "SinkError",
    "SourceLostError",
    "SourceOpenError",
    "SourceRefusedError",
    "SourceSilentError",
    "WrongPasswordError",
]


class AnonymizerError(Exception):
    """Base of all errors shown to users without a traceback."""

    exit_code: ClassVar[int] = 1


class ConfigError(AnonymizerError):
    """An option, a configuration value or a password source cannot be used."""

    exit_code = 2


class MediaError(AnonymizerError):
    """Something is wrong with a video, on the way in or out."""

    exit_code = 3


class SourceOpenError(MediaError):
    """The source cannot be opened or is not a video that can be decoded."""


class SourceRefusedError(SourceOpenError):
    """The source answers, but not to this user and password."""


class SourceSilentError(SourceOpenError):
    """Nobody accepts connections at the source's address."""


class SourceLostError(MediaError):
    """A live source went away and did not come back in time."""


class SinkError(MediaError):
    """The output cannot be written."""


class EngineError(AnonymizerError):
    """A network or its backend failed."""

    exit_code = 4


class EngineLoadError(EngineError):
    """A model file is missing or corrupt, or its backend cannot run here.

    Attributes:
        model_path: the file that was to be loaded.
        reason: what is wrong, without the file's name.
    """

    def __init__(self, model_path: Path, reason: str) -> None:
        super().__init__(f"cannot load model {model_path.name}: {reason}")
        self.model_path = model_path
        self.reason = reason


class EngineRunError(EngineError):
    """A network was fed wrong data, or failed while it ran."""


class CoverageError(AnonymizerError):
    """A tracked face could not be covered, so its frame must not be written."""

    exit_code = 5


class KeyLogError(AnonymizerError):
    """A key log cannot be read or written."""

    exit_code = 6


class KeyLogFormatError(KeyLogError):
    """The file is not a key log, or its bytes break the format."""


class KeyLogTruncatedError(KeyLogError):
    """The key log ends before its final marker; what came before is authentic."""


class KeyLogTamperedError(KeyLogError):
    """A part of the key log was changed, moved or belongs to another recording."""


class KeyLogExpiredError(KeyLogError):
    """The key log's retention time is over: its keys must not be used any more."""


class WrongPasswordError(AnonymizerError):
    """The password does not open this key log."""

    exit_code = 7
