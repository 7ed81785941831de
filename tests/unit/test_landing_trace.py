"""How lines of superseded files are found."""

from __future__ import annotations

import random
import re

from journeymart.landing.trace import _words_at


def test_words_are_found_as_a_regular_expression_finds_them() -> None:
    chance = random.Random(3)
    for _ in range(2000):
        data = bytes(chance.choices(b'ab-"\n1', k=chance.randrange(40)))
        word = bytes(chance.choices(b"ab-1", k=chance.randrange(1, 4)))
        # overlapping ones, too: the match itself is looked at and not taken
        pattern = rb"(?<![0-9A-Za-z])(?=" + re.escape(word) + rb"(?![0-9A-Za-z]))"
        assert list(_words_at(data, {word})) == [match.start() for match in re.finditer(pattern, data)]
