"""The errors that the command line shows as one line instead of a traceback, and how a text becomes one line."""

import unicodedata

# Control and format characters: they end a line, move the cursor, or turn the direction of what follows.
_UNSEEN = {"Cc", "Cf", "Zl", "Zp"}


def one_line(text: str) -> str:
    """The text with characters that are not seen as escapes: who names a file shall not forge a line."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in _UNSEEN else character
        for character in text
    )


class JourneymartError(Exception):
    """Something the person at the keyboard can act on: the message says what happened and what to do."""


class WrongUsageError(JourneymartError):
    """What is asked for cannot be (exit code 2): an argument is wrong in itself, does not go with another, or names
    what is not defined. What was tried and failed, or does not find data, is not this."""


class NotPublishedError(JourneymartError):
    """The published mart does not have what is asked for yet."""


class PipelineError(JourneymartError):
    """A step failed; nothing that a reader sees has moved."""
