"""Cases that other tools recorded: which of them our semantics express, as a table in docs/semantics.md."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "semantics.md"


class UnexpressedError(Exception):
    """Why a question cannot be put."""


def check_table(name: str, right: int, reasons: Counter[str]) -> None:
    """Compare the part `name` of docs/semantics.md with what a test found.

    JOURNEYMART_WRITE_DOCS=1 writes it instead.
    """
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    rows = [f"| {count} | {reason} |" for reason, count in ordered]
    table = "\n".join(["| questions | |", "|---|---|", f"| {right} | give the recorded answer |", *rows])
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    text = DOCS.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + "(.*?)" + re.escape(end), re.DOTALL)
    found = pattern.search(text)
    assert found is not None, f"docs/semantics.md has no place for {name}"
    if os.environ.get("JOURNEYMART_WRITE_DOCS"):
        DOCS.write_text(pattern.sub(lambda _: begin + table + end, text), encoding="utf-8")
    else:
        assert found[1] == table, "write it with JOURNEYMART_WRITE_DOCS=1"
