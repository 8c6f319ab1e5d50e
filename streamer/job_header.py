"""The key log header of a job: what its configuration, models and video say."""

from __future__ import annotations

from collections.abc import Callable

from streamer.config import AppConfig
from streamer.key_log import CUSTOM_LEVEL, KeyLogHeader
from streamer.keys import KdfParams, KeyScope
from streamer.media_info import MediaInfo
from streamer.models import Models
from streamer.rotation_kinds import newest_version
from streamer.rotator import angle_for_level

__all__ = ["TOOL", "make_header", "rotation_angle_deg"]

TOOL = "veilstream 0.1.0"

_DEFAULT_ANGLE_DEG = 90.0


def rotation_angle_deg(config: AppConfig) -> float:
    """The angle that a configuration asks for, by itself or by level."""
    identity = config.identity
    if identity.angle_deg is not None:
        return identity.angle_deg
    if identity.level is not None:
        return angle_for_level(identity.level)
    # A right angle says nothing about the original; the published rotation has no inverse there.
    return _DEFAULT_ANGLE_DEG if identity.rotation == "orthogonal" else angle_for_level(4)


def make_header(
    config: AppConfig,
    models: Models,
    info: MediaInfo,
    *,
    created_s: float,
    random_bytes: Callable[[int], bytes],
) -> KeyLogHeader:
    """The header of a new recording.

    Args:
        config: what the log holds.
        models: the networks, for their hashes.
        info: facts about the video.
        created_s: seconds since 1970 UTC.
        random_bytes: source of the recording id and the salt.
    """
    scope = KeyScope(config.identity.scope)
    camera_id = config.identity.camera_id
    kdf = _kdf(config, random_bytes)
    days = config.keylog.retention_days
    return KeyLogHeader(
        recording_id=random_bytes(16),
        created_unix_us=int(created_s * 1e6),
        expires_unix_us=0 if days is None else int((created_s + days * 86400) * 1e6),
        width=info.size_hw[1],
        height=info.size_hw[0],
        time_base=info.time_base,
        angle_deg=rotation_angle_deg(config),
        level=_logged_level(config),
        scope=scope,
        camera_id=camera_id if scope is KeyScope.CAMERA else "",
        rotation=config.identity.rotation,
        rotation_version=newest_version(config.identity.rotation),
        is_sealed=config.keylog.seal,
        is_assisted=config.keylog.assisted,
        kdf=kdf,
        tool=TOOL,
        codec=config.video.codec,
        pixel_format="yuv420p",
        models=tuple(sorted(models.hashes)),
    )


def _kdf(config: AppConfig, random_bytes: Callable[[int], bytes]) -> KdfParams:
    seconds = config.keylog.unlock_s
    if config.identity.scope == "camera":
        # The same in each recording, so neither salt nor cost may depend on the machine.
        return KdfParams.for_camera(config.identity.camera_id)
    if seconds is None:
        return KdfParams.generate(random_bytes)
    return KdfParams.calibrated(seconds, random_bytes=random_bytes)


def _logged_level(config: AppConfig) -> int:
    level = config.identity.level
    return CUSTOM_LEVEL if level is None or config.identity.angle_deg is not None else level
