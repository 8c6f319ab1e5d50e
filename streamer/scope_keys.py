"""ScopeKeys: the rotation keys of a run's identities, and what they are derived from."""

from __future__ import annotations

import threading
from collections.abc import Collection

from streamer.keys import KeyScope, MasterKey

__all__ = ["ScopeKeys"]


class ScopeKeys:
    """Keys by scope id, each derived once. Safe to use from several threads.

    Args:
        master: derives them; wiped by `wipe`, or when another one takes its place.
        recording_id: 16 bytes, of the run's first recording.
        scope: how far one pseudonym reaches.
    """

    def __init__(self, master: MasterKey, recording_id: bytes, scope: KeyScope) -> None:
        self._master = master
        self._recording_id = recording_id
        self._scope = scope
        self._lock = threading.Lock()
        self._known: dict[str, bytearray] = {}

    def of(self, name: str) -> bytes:
        """The key of a scope id; the same as before, also after `renew`.

        Raises:
            ValueError: the keys were wiped.
        """
        with self._lock:
            if name not in self._known:
                key = self._master.scope_key(self._recording_id, self._scope, name)
                self._known[name] = bytearray(key)
            return bytes(self._known[name])

    def keep(self, names: Collection[str]) -> None:
        """Forget the keys of all other scope ids."""
        with self._lock:
            for name in self._known.keys() - set(names):
                _overwrite(self._known.pop(name))

    def renew(self, master: MasterKey) -> None:
        """Derive keys that are not known yet from another master key, and wipe the old one.

        What was derived and forgotten cannot be derived again.
        """
        with self._lock:
            self._master.wipe()
            self._master = master

    def wipe(self) -> None:
        """Overwrite all of them. Copies made by libraries cannot be reached from Python."""
        with self._lock:
            self._master.wipe()
            for key in self._known.values():
                _overwrite(key)
            self._known.clear()


def _overwrite(key: bytearray) -> None:
    key[:] = bytes(len(key))
