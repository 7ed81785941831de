"""Who is at work, for what is written down about it."""

from __future__ import annotations

import getpass
import os


def person() -> str:
    """`JOURNEYMART_USER`, which a tool sets that works for somebody, else the account of the operating system."""
    try:
        return os.environ.get("JOURNEYMART_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container runs under a number
        return str(os.getuid())
