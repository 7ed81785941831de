"""Change single values in the text of a YAML file and leave its comments, order and layout as they are."""

from __future__ import annotations

from typing import Any, Final

import yaml


class _Gone:
    """What marks a key to be removed."""

    def __repr__(self) -> str:
        return "nothing"


GONE: Final = _Gone()


def edit(text: str, changes: dict[tuple[str | int, ...], Any]) -> str:
    """The text with the value at each place (keys and list positions) replaced, added, or removed for GONE.

    Raises KeyError if what should hold a value does not exist.
    """
    for place in sorted(changes, key=str):
        text = _change(text, place, changes[place])
    return text


def _change(text: str, place: tuple[str | int, ...], value: Any) -> str:
    parent: yaml.Node = yaml.compose(text, Loader=yaml.SafeLoader) or yaml.MappingNode("", [])
    for step in place[:-1]:
        parent = _child(parent, step)[1]
    try:
        key, node = _child(parent, place[-1])
    except KeyError:
        return text if value is GONE else _add(text, parent, str(place[-1]), value)
    start, end = node.start_mark.index, _end(text, node)
    if value is GONE:
        return _remove(text, key.start_mark.index, end, is_flow=_is_flow(parent))
    column = node.start_mark.column
    is_block = isinstance(node, yaml.CollectionNode) and not _is_flow(node)
    new = _block(value, column) if is_block else _text(value, key.start_mark.column) if _is_text(node) else _flow(value)
    return text[:start] + new + text[end:]


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node]:
    """Key and value of a mapping's entry; of a list's entry, the value twice."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return node.value[step], node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key, value
    raise KeyError(step)


def _is_flow(node: yaml.Node) -> bool:
    """Whether it is written in brackets."""
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _is_text(node: yaml.Node) -> bool:
    """Whether it is written on lines of its own, after | or >."""
    return isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")


def _end(text: str, node: yaml.Node) -> int:
    """Where a node ends in the text; what PyYAML says of a block includes the empty lines and comments behind it."""
    if isinstance(node, yaml.CollectionNode) and not _is_flow(node) and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    end: int = node.end_mark.index
    return len(text[:end].rstrip()) if _is_text(node) else end


def _add(text: str, parent: yaml.Node, key: str, value: Any) -> str:
    end = _end(text, parent)
    if _is_flow(parent):
        return f"{text[: end - 1]}{', ' if parent.value else ''}{key}: {_flow(value)}{text[end - 1 :]}"
    return f"{text[:end].rstrip()}\n{' ' * parent.start_mark.column}{key}: {_flow(value)}\n{text[end:].lstrip(chr(10))}"


def _remove(text: str, start: int, end: int, *, is_flow: bool) -> str:
    if is_flow:
        before, after = text[:start].rstrip(" "), text[end:]
        return before.removesuffix(",") + after if before.endswith(",") else before + after.removeprefix(",").lstrip()
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end - 1 if text[end - 1] == "\n" else end) + 1
    return text[:first] + text[last or len(text) :]


def _text(value: str, column: int) -> str:
    """A text on lines of its own below a key that starts at `column`."""
    lines = [" " * (column + 2) + line if line else "" for line in value.rstrip("\n").split("\n")]
    return "\n".join(["|" if value.endswith("\n") else "|-", *lines])


def _flow(value: Any) -> str:
    """A value on one line, quoted where it has to be inside of brackets."""
    text = yaml.safe_dump([value], allow_unicode=True, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.strip().removeprefix("[").removesuffix("]")


def _block(value: Any, column: int) -> str:
    """A list or mapping with one entry per line, starting at `column`; what is in an entry stands on its line."""
    entries = value if isinstance(value, list) else value.items()
    lines: list[str] = []
    for entry in entries:
        if not isinstance(value, list):
            lines.append(f"{entry[0]}: {_flow(entry[1])}")
        elif isinstance(entry, dict) and entry:
            inside = [f"{key}: {_flow(item)}" for key, item in entry.items()]
            lines += [f"- {inside[0]}", *(f"  {line}" for line in inside[1:])]
        else:
            lines.append(f"- {_flow(entry)}")
    return ("\n" + " " * column).join(lines)
