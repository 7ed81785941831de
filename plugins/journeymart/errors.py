"""The error that the command line shows as one line instead of a traceback."""


class JourneymartError(Exception):
    """Something the person at the keyboard can act on: the message says what happened and what to do."""
