"""Credentials of cameras and servers: read from where a configuration refers to, never shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from engines.errors import ConfigError
from streamer.redact import redact_url

__all__ = ["read_credentials", "with_credentials"]


def read_credentials(reference: str, environment: Mapping[str, str] | None = None) -> str:
    """USER:PASSWORD from an environment variable or a file.

    Args:
        reference: "env:NAME" or "file:PATH".
        environment: where variables are looked up; the process's own when None.

    Raises:
        ConfigError: it is neither, or there is nothing.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = (os.environ if environment is None else environment).get(name)
        if value is None:
            raise ConfigError(f"credentials: the environment variable {name} is not set")
    elif kind == "file":
        try:
            value = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"credentials: {name} cannot be read: {reason}") from None
    else:
        # Not repeated: somebody may have put the password itself here.
        raise ConfigError("credentials must be env:NAME or file:PATH")
    value = value.strip("\r\n")
    if ":" not in value:
        raise ConfigError(f"credentials: {kind}:{name} must hold USER:PASSWORD")
    return value


def with_credentials(
    url: str, reference: str | None, environment: Mapping[str, str] | None = None
) -> str:
    """A URL with the credentials that a reference names; unchanged without a reference.

    Raises:
        ConfigError: see `read_credentials`, or the URL has credentials of its own.
    """
    if reference is None:
        return url
    user, _, password = read_credentials(reference, environment).partition(":")
    parts = urlsplit(url)
    if not parts.hostname:
        raise ConfigError(f"{redact_url(url)}: credentials need an address with a host")
    if "@" in parts.netloc:
        raise ConfigError(f"{redact_url(url)}: has credentials of its own; leave one of them out")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))
