"""Who the tracks of a job are, and what the key log has been told of them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from engines.arrays import Float32Array
from streamer.identity import IdentityKeys, IdentitySpace
from streamer.identity_prior import IdentityPrior
from streamer.key_log import KeyLogHeader, TrackStart
from streamer.keys import KeyScope
from streamer.rotation_kinds import rotation_kind
from streamer.rotator import Rotator, make_rotator

__all__ = ["LoggedTracks"]


class LoggedTracks:
    """Identities and their keys. Safe to use from several threads.

    Args:
        header: header of the recording.
        space: where identities have coordinates.
        key_of: the rotation key of a scope, by its name.
    """

    def __init__(
        self, header: KeyLogHeader, space: IdentitySpace, key_of: Callable[[str], bytes]
    ) -> None:
        self._header, self._dim, self._key_of = header, space.dim, key_of
        self._keys = IdentityKeys(
            space, self._rotator, scope=header.scope, camera_id=header.camera_id
        )
        self._lock = threading.Lock()
        self._originals: dict[int, Float32Array] = {}
        self._identity_of: dict[int, int] = {}
        # Track -> identity that the log knows it by; None: it began before its identity was known.
        self._logged: dict[int, int | None] = {}
        self._revisions: dict[int, int] = {}

    def _rotator(self, name: str) -> Rotator:
        return make_rotator(
            rotation_kind(self._header.rotation),
            scope_key=self._key_of(name),
            angle_deg=self._header.angle_deg,
            dim=self._dim,
            version=self._header.rotation_version,
        )

    @property
    def identity_ids(self) -> frozenset[int]:
        """Identities of the tracks that are known."""
        return frozenset(self._identity_of.values())

    def scope_id(self, identity_id: int) -> str:
        """The name under which the key of an identity is derived."""
        return self._keys.scope_id(identity_id)

    def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
        """The (512,) embedding of the new face that an identity gets by one of its keys."""
        with self._lock:
            return self._keys.propose(identity_id, original, attempt)

    def recall(
        self, identity_id: int, read: Float32Array, attempt: int, prior: IdentityPrior | None
    ) -> Float32Array:
        """The (K,) coordinates that an identity read in a new face leads back to by a key."""
        with self._lock:
            return self._keys.recall(identity_id, read, attempt, prior)

    def protect(
        self, identity_id: int, original: Float32Array, attempt: int, drawn: Float32Array | None
    ) -> Float32Array:
        """As `propose`; the original (512,) embedding and the key are remembered from here on.

        `drawn` is what is turned in place of the original; None: the original itself.
        """
        with self._lock:
            self._originals[identity_id] = original
            self._keys.use(identity_id, attempt)
            return self._keys.protect(identity_id, original if drawn is None else drawn)

    def assign(self, track_id: int, identity_id: int) -> None:
        """Say whose identity a track has."""
        with self._lock:
            self._identity_of[track_id] = identity_id

    def forget(self, track_id: int) -> None:
        """A track has ended for good; keeps the memory of endless jobs flat."""
        with self._lock:
            self._identity_of.pop(track_id, None)
            self._logged.pop(track_id, None)
            self._revisions.pop(track_id, None)
            in_use = set(self._identity_of.values())
            self._originals = {key: z for key, z in self._originals.items() if key in in_use}
            self._keys.keep(in_use)

    def begin_again(self) -> None:
        """Another log begins, which may be all that somebody can open: tell it of every track."""
        with self._lock:
            self._logged.clear()

    def introduction(self, track_id: int, pts: int) -> TrackStart | None:
        """What the log must be told before a face of a track.

        Something before its first face, and again when its identity has become known; else None.
        """
        with self._lock:
            identity = self._identity_of.get(track_id)
            if track_id in self._logged and self._logged[track_id] == identity:
                return None
            self._logged[track_id] = identity
            self._revisions[track_id] = self._revisions.get(track_id, -1) + 1
            return self._track_start(track_id, pts, self._revisions[track_id])

    def _track_start(self, track_id: int, pts: int, revision: int) -> TrackStart:
        header = self._header
        identity = self._identity_of.get(track_id, track_id)
        original = self._originals.get(identity)
        name = self._keys.scope_id(identity)
        return TrackStart(
            track_id=track_id,
            pts=pts,
            scope=header.scope,
            scope_id=name,
            key=self._key_of(name) if header.scope is KeyScope.TRACK else None,
            angle_deg=header.angle_deg,
            z=original.astype(np.float16) if header.is_assisted and original is not None else None,
            norm=1.0 if original is None else self._keys.norm(identity, original),
            revision=revision,
            rotation=header.rotation,
            rotation_version=header.rotation_version,
        )
