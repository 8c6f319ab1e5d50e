from __future__ import annotations

import pytest

from streamer.keys import KeyScope, MasterKey
from streamer.scope_keys import ScopeKeys


def make(byte: int = 1) -> ScopeKeys:
    return ScopeKeys(MasterKey(bytes([byte] * 32)), bytes(16), KeyScope.TRACK)


def test_keys_are_those_of_the_master() -> None:
    keys = make()
    assert keys.of("7") == MasterKey(bytes([1] * 32)).scope_key(bytes(16), KeyScope.TRACK, "7")
    assert keys.of("7") == keys.of("7") != keys.of("8")


def test_renewal_keeps_what_is_in_use_and_loses_what_is_gone() -> None:
    keys = make()
    kept, gone = keys.of("1"), keys.of("2")
    keys.keep(["1"])
    keys.renew(MasterKey(bytes([2] * 32)))
    assert keys.of("1") == kept
    assert keys.of("2") != gone
    assert keys.of("2") == make(2).of("2")


def test_wiped_keys_are_gone() -> None:
    keys = make()
    keys.of("1")
    memory = keys._known["1"]
    keys.wipe()
    assert bytes(memory) == bytes(32)
    with pytest.raises(ValueError, match="wiped"):
        keys.of("1")
