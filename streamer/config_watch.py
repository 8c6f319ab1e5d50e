"""WatchConfig: where metrics, probes and the web console are served, and to whom."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from streamer.config_base import ConfigModel

__all__ = ["SiteWatchConfig", "WatchConfig", "is_loopback", "split_listen"]


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[v6]:port"; the host may be left out.

    Raises:
        ValueError: it is neither.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError('must be HOST:PORT, such as "127.0.0.1:9464"')
    host = host.removeprefix("[").removesuffix("]")
    return host or "127.0.0.1", int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WatchConfig(ConfigModel):
    """How a process may be watched."""

    listen: str | None = Field(default=None, description="HOST:PORT; none: not served")
    token_file: Path | None = Field(
        default=None, description="file of the token; required unless only this machine can connect"
    )
    previews: bool = Field(default=True, description="live pictures of the anonymised video")
    preview_fps: float = Field(default=4.0, gt=0, le=30)

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str | None) -> str | None:
        if value is not None:
            split_listen(value)
        return value

    @model_validator(mode="after")
    def _check_token(self) -> WatchConfig:
        if self.listen is None or self.token_file is not None:
            return self
        if not is_loopback(split_listen(self.listen)[0]):
            raise ValueError("token_file is needed when other machines can connect")
        return self


class SiteWatchConfig(WatchConfig):
    """The same for many cameras: whoever runs those wants to see how they are."""

    listen: str | None = Field(default="127.0.0.1:9464", description="HOST:PORT; none: not served")
