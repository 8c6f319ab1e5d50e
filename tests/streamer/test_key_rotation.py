"""When the keys of a running job are due to be changed."""

from __future__ import annotations

import pytest

from streamer.key_rotation import KeyRotation


def test_rotation_by_time_and_on_demand() -> None:
    clock = [0.0]
    rotation = KeyRotation(10.0, now=lambda: clock[0])
    assert not rotation.take()
    clock[0] = 10.0
    assert rotation.take()
    assert not rotation.take()
    rotation.ask()
    clock[0] = 12.0
    assert rotation.take()
    clock[0] = 21.0
    assert not rotation.take()
    clock[0] = 22.0
    assert rotation.take()
    with pytest.raises(ValueError, match="every 0"):
        KeyRotation(0)
