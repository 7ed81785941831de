"""definitions/messages.yml: what people are shown when a rule detects them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from journeymart.definitions.durations import Cap
from journeymart.definitions.loader import DefinitionModel, Label

MessageId = Annotated[str, Field(pattern=r"^MSG-[A-Z0-9-]{1,60}$")]
Address = Annotated[str, Field(pattern=r"^(https://|/)[^\s\"'<>\\]{0,500}$")]  # never javascript: and the like


class Question(DefinitionModel):
    """A question of a survey; with choices, or to be answered in words."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    text: Label
    choices: tuple[Label, ...] = ()


class Message(DefinitionModel):
    """A pop-up, a survey or the words of a campaign. Another wording is another version."""

    id: MessageId
    title: Label
    body: Label
    button: Label | None = None
    questions: Annotated[tuple[Question, ...], Field(max_length=10)] = ()

    def conditions(self) -> tuple[()]:
        """It looks for nothing."""
        return ()

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`."""
        return {"label": self.title.model_dump(), "owner": None, **self.model_dump(mode="json", exclude={"id"})}


class MessagesFile(DefinitionModel):
    """The file as a whole."""

    max_per_customer: Cap | None = None  # of all rules together, by what has been shown
    messages: tuple[Message, ...] = ()

    def content(self) -> dict[str, Any]:
        """What holds for all messages, as plain values for `config.definition`."""
        cap = self.max_per_customer
        return {"cap_times": cap and cap.times, "cap_seconds": cap and cap.per.total_seconds()}
