"""The kinds of keyed rotations and the versions of their constructions."""

from __future__ import annotations

from typing import Final, Literal

__all__ = [
    "ROTATION_KINDS",
    "RotationKind",
    "check_rotation",
    "newest_version",
    "rotation_code",
    "rotation_kind",
]

RotationKind = Literal["orthogonal", "reference"]
ROTATION_KINDS: Final[tuple[RotationKind, ...]] = ("orthogonal", "reference")
_NEWEST: Final[dict[RotationKind, int]] = {"orthogonal": 2, "reference": 1}


def rotation_kind(name: str) -> RotationKind:
    """The kind of this name.

    Raises:
        ValueError: there is none.
    """
    for kind in ROTATION_KINDS:
        if kind == name:
            return kind
    raise ValueError(f"unknown rotation {name!r}; known: {', '.join(ROTATION_KINDS)}")


def rotation_code(name: str) -> int:
    """What a key log writes for a kind.

    Raises:
        ValueError: there is none of this name.
    """
    return ROTATION_KINDS.index(rotation_kind(name))


def newest_version(kind: RotationKind) -> int:
    """The version of a kind's construction that new recordings get."""
    return _NEWEST[kind]


def check_rotation(name: str, version: int) -> None:
    """Refuse rotations that this program does not know.

    Raises:
        ValueError: unknown kind, or a version of it that there is not.
    """
    newest = newest_version(rotation_kind(name))
    if not 1 <= version <= newest:
        raise ValueError(f"rotation_version must be 1 to {newest} for {name}, not {version}")
