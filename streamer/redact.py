"""Redaction: a URL or a text as it may be shown, without the credentials in it."""

from __future__ import annotations

import os
import re

__all__ = ["display_name", "is_url", "redact_secrets", "redact_text", "redact_url"]

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
# Query keys whose values open something; matched anywhere in the key, so `access_token` counts.
_SECRET_KEY = re.compile(r"pass|pwd|token|secret|key|auth|sig|user|login|credential", re.IGNORECASE)
# "password: x", "token=x", "Authorization: Bearer x", also in JSON and in Python's repr.
_SECRET_IN_TEXT = re.compile(
    r"""((?:authorization|password|passwd|passphrase|pwd|secret|token|api_?key|credentials?)
    ["']?\s*[:=]\s*(?:b?["'])?(?:(?:bearer|basic|digest)\s+)?)[^\s"',;&}]+""",
    re.IGNORECASE | re.VERBOSE,
)
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def is_url(source: str) -> bool:
    """Whether this names something on a network or a device rather than a local file."""
    return _SCHEME.match(source) is not None


def redact_url(url: str) -> str:
    """A URL without user name, password, and the values of secret query parameters.

    What is not a URL comes back unchanged. A password with an unescaped `@` or `/` in it is
    hidden as well: everything up to the last `@` counts as credentials, since showing too little
    of an address is harmless and showing a password is not.
    """
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    rest = url[scheme.end() :]
    base, question, query = rest.partition("?")
    # An unescaped "?" inside a password would otherwise leave its tail in the query.
    if "@" in query and "@" not in base:
        base, question, query = query.rpartition("@")[2], "", ""
    elif "@" in base:
        base = base.rpartition("@")[2]
    base, hash_mark, _ = base.partition("#")
    shown = f"{scheme.group()}{base}" + ("#..." if hash_mark else "")
    return f"{shown}?{_redact_query(query)}" if question else shown


def _redact_query(query: str) -> str:
    parts = []
    for part in query.partition("#")[0].split("&"):
        key, equals, _value = part.partition("=")
        parts.append(f"{key}=***" if equals and _SECRET_KEY.search(key) else part)
    return "&".join(parts)


def redact_text(text: str) -> str:
    """A text from elsewhere, such as a library's error, with every URL in it redacted."""
    return _URL_IN_TEXT.sub(lambda match: redact_url(match.group()), text)


def redact_secrets(text: str) -> str:
    """A text without credentials in URLs and without values that are named as secrets."""
    return _SECRET_IN_TEXT.sub(r"\1***", redact_text(text))


def display_name(source: str | os.PathLike[str]) -> str:
    """How a source or a target is called in messages: its path, or its redacted URL."""
    return redact_url(os.fspath(source))
