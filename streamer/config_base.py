"""ConfigModel: the base of all configuration sections."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["ConfigModel"]


class ConfigModel(BaseModel):
    """Base of all sections: unknown keys refused, values fixed once read."""

    # hide_input: a rejected value may be a URL with its password
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
