"""Configuration of a site's own rules: places that are always hidden, people who are not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from streamer.config_base import ConfigModel

__all__ = ["RulesConfig"]

Ratio = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[tuple[tuple[Ratio, Ratio], ...], Field(min_length=3, max_length=100)]


class RulesConfig(ConfigModel):
    """Rules of one camera."""

    zones: tuple[Polygon, ...] = Field(
        default=(),
        max_length=100,
        description="polygons of x, y as shares of width and height; always filled",
    )
    keep_visible: tuple[Path, ...] = Field(
        default=(), max_length=100, description="pictures of people who stay as they are"
    )
    keep_visible_cosine: float = Field(default=0.6, ge=0.5, le=1)
    only: tuple[Path, ...] = Field(
        default=(), max_length=100, description="pictures of the only people who are hidden"
    )
    only_cosine: float = Field(
        default=0.1, ge=-1, le=0.2, description="whoever looks less like them than this is shown"
    )
    only_may_miss: bool = Field(
        default=False, description="must be true with `only`: a person may go unrecognised"
    )

    @model_validator(mode="after")
    def _check(self) -> RulesConfig:
        if self.keep_visible and self.only:
            raise ValueError("keep_visible and only exclude each other")
        if self.only and not self.only_may_miss:
            raise ValueError(
                "only shows everybody whom the encoder does not take for one of the given people, "
                "and it may be wrong; say only_may_miss: true to accept that"
            )
        return self
