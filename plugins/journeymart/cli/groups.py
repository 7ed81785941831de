"""What the groups of commands have in common."""

from __future__ import annotations


def with_example(text: str, command: str) -> str:
    """The help of a group, with an example as that of every command has one."""
    return f"{text}\n\nExample: `journeymart {command}`"
