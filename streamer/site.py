"""A site: many cameras in one configuration, each with its own settings and keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from engines.errors import ConfigError
from streamer.config import AppConfig, explain, find_config, read_yaml
from streamer.config_base import ConfigModel
from streamer.config_watch import SiteWatchConfig, WatchConfig

__all__ = ["CameraSpec", "RestartConfig", "SharedEnginesConfig", "Site", "load_site"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_Sections: TypeAlias = dict[str, dict[str, Any]]


class RestartConfig(ConfigModel):
    """When the process of a camera is started again after it has ended."""

    policy: Literal["always", "on-failure", "never"] = "always"
    first_wait_s: float = Field(default=1.0, gt=0, le=3600)
    longest_wait_s: float = Field(default=60.0, gt=0, le=86400)
    reset_after_s: float = Field(default=60.0, gt=0, description="up so long: the waits begin anew")
    hang_after_s: float = Field(
        default=60.0, ge=5, le=3600, description="silent so long: killed and started again"
    )


class CameraConfig(ConfigModel):
    """One camera of a site."""

    url: str = Field(repr=False, min_length=1)
    out: tuple[str, ...] = Field(repr=False, min_length=1)
    keylog: Path | None = None
    password_file: Path | None = None
    base: Path | None = Field(default=None, description="a configuration to begin with")
    realtime: bool = Field(default=False, description="url is a file that plays a camera")
    enabled: bool = True
    restart: RestartConfig | None = None
    settings: _Sections = Field(default_factory=dict, repr=False)


class SharedEnginesConfig(ConfigModel):
    """One process that runs the networks of all cameras, see docs/how_to/many_cameras.md."""

    shared: bool = False
    workers: int = Field(
        default=0, ge=0, le=256, description="runs of a network at a time, on a CPU; 0: all cores"
    )


class SiteConfig(ConfigModel):
    """The whole file."""

    cameras: dict[str, CameraConfig] = Field(min_length=1)
    base: Path = Path("live-camera")
    settings: _Sections = Field(default_factory=dict, repr=False)
    restart: RestartConfig = RestartConfig()
    engines: SharedEnginesConfig = SharedEnginesConfig()
    watch: SiteWatchConfig = SiteWatchConfig()


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """A camera, ready to be started; two that are equal need no restart.

    Attributes:
        name: unique in its site.
        url: where it is; may hold credentials.
        outs: files and addresses; may hold credentials.
        keylog: path of the key log, None to put it beside the first file.
        password_file: holds the password, None without one.
        is_file: the source is a file that plays a camera.
        restart: when its process is started again.
        config: everything else.
    """

    name: str
    url: str = field(repr=False)
    outs: tuple[str, ...] = field(repr=False)
    keylog: Path | None
    password_file: Path | None
    is_file: bool
    restart: RestartConfig
    config: AppConfig = field(repr=False)

    def to_json(self) -> str:
        """One line for the process that runs it."""
        return TypeAdapter(CameraSpec).dump_json(self).decode()

    @staticmethod
    def from_json(text: str) -> CameraSpec:
        """The camera again.

        Raises:
            ValueError: something is missing or of another type.
        """
        return TypeAdapter(CameraSpec).validate_json(text)


@dataclass(frozen=True, slots=True)
class Site:
    """Everything in a site's file.

    Attributes:
        cameras: those that are enabled, by name.
        watch: where all of them may be watched.
        engines: whether they share their networks.
    """

    cameras: Mapping[str, CameraSpec]
    watch: WatchConfig
    engines: SharedEnginesConfig


def load_site(path: Path) -> Site:
    """Read a site.

    Raises:
        ConfigError: unreadable file, unknown key or bad value; the message names the camera.
    """
    try:
        site = SiteConfig.model_validate(read_yaml(path))
    except ValidationError as exc:
        raise ConfigError(explain(exc, SiteConfig)) from None
    cameras = {
        name: _spec(name, camera, site) for name, camera in site.cameras.items() if camera.enabled
    }
    _check_files(cameras)
    return Site(cameras, site.watch, site.engines)


def _spec(name: str, camera: CameraConfig, site: SiteConfig) -> CameraSpec:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"camera name {name!r}: use letters, digits, '-', '_' and '.'")
    raw: dict[str, Any] = read_yaml(find_config(camera.base or site.base))
    for settings in (site.settings, camera.settings):
        for section, values in settings.items():
            present = raw.get(section)
            raw[section] = {**(present if isinstance(present, dict) else {}), **values}
    try:
        config = AppConfig.model_validate(raw)
    except ValidationError as exc:
        raise ConfigError(f"camera {name}: {explain(exc, AppConfig)}") from None
    if config.identity.scope == "camera" and not config.identity.camera_id:
        identity = config.identity.model_copy(update={"camera_id": name})
        config = config.model_copy(update={"identity": identity})
    needs_password = not config.keylog.irreversible and not config.keylog.recipients
    if needs_password and camera.password_file is None:
        raise ConfigError(
            f"camera {name}: password_file is needed, unless keylog.recipients or "
            "keylog.irreversible is set"
        )
    return CameraSpec(
        name=name,
        url=camera.url,
        outs=camera.out,
        keylog=camera.keylog,
        password_file=camera.password_file,
        is_file=camera.realtime,
        restart=camera.restart or site.restart,
        config=config,
    )


def _check_files(cameras: Mapping[str, CameraSpec]) -> None:
    owners: dict[str, str] = {}
    for name, spec in cameras.items():
        for out in (*spec.outs, *([str(spec.keylog)] if spec.keylog else [])):
            if out in owners:
                raise ConfigError(f"cameras {owners[out]} and {name} write to the same place")
            owners[out] = name
