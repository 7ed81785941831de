"""The errors that the command line shows as one line instead of a traceback."""


class JourneymartError(Exception):
    """Something the person at the keyboard can act on: the message says what happened and what to do."""


class WrongUsageError(JourneymartError):
    """What is asked for cannot be (exit code 2): an argument is wrong in itself, does not go with another, or names
    what is not defined. What was tried and failed, or does not find data, is not this."""


class NotPublishedError(JourneymartError):
    """The published mart does not have what is asked for yet."""


class PipelineError(JourneymartError):
    """A step failed; nothing that a reader sees has moved."""
