"""definitions/channels.yml: by which inflow channel a session came, from campaign marks and referrer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, model_validator

from journeymart.definitions.conditions import row_predicate
from journeymart.definitions.loader import DefinitionModel, Label, load_yaml

DIRECT = "direct"  # nothing is known of where the session came from, or no rule holds
DIRECT_LABEL = Label(ko="직접 유입", en="Direct")


class Channel(DefinitionModel):
    """An inflow channel and when a session came by it."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    label: Label
    where: Annotated[dict[str, Any], WithJsonSchema({"type": "object"}), Field(min_length=1)]

    @model_validator(mode="after")
    def _compiles(self) -> Channel:
        row_predicate("inflow", self.where)
        return self

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`."""
        return {"label": self.label.model_dump(), "predicate": row_predicate("inflow", self.where)}


class ChannelsFile(DefinitionModel):
    """The file as a whole; the first channel whose rule holds counts."""

    channels: tuple[Channel, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> ChannelsFile:
        names = [channel.id for channel in self.channels]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"the channel {twice[0]} is there twice")
        return self

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`: the rules in their order."""
        return {"rules": [{"id": channel.id, **channel.content()} for channel in self.channels]}


def channel_labels(directory: Path | None = None) -> dict[str, Label]:
    """What every inflow channel is called, by id. Raises DefinitionError if channels.yml cannot be used."""
    channels = load_yaml("channels", directory).parse(ChannelsFile).channels
    return {channel.id: channel.label for channel in channels} | {DIRECT: DIRECT_LABEL}
