"""Reading YAML definitions: plain values only, every value with its line, mistakes explained where they are.

The reader is stricter than YAML's defaults, because a definition that is read wrongly is a wrong number later:
a repeated key is an error, only `true` and `false` are booleans (`no` and `on` are text) and dates stay text.
"""

from __future__ import annotations

import difflib
import os
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from journeymart.errors import JourneymartError
from journeymart.settings import REPO

SHIPPED = REPO / "dbt_project" / "definitions"
MAX_BYTES = 2_000_000
MAX_VALUES = 200_000  # aliases included: a few nested ones could otherwise grow without end
MAX_DEPTH = 40
PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "null", "bool", "int", "float")}

Location = tuple[str | int, ...]
_DOTTED = re.compile(r"([a-z_]+(?:\.\w+)*): ")
_NAMED_FIELD = re.compile(r"(?:unknown field ')?([\w.-]+)(?:'|:| is )")
Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")


class DefinitionError(JourneymartError):
    """A definition cannot be used. `messages` has one line per mistake: file:line: where: what."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = list(messages)
        super().__init__("\n".join(self.messages))


class DefinitionModel(BaseModel):
    """Base of everything that is defined in YAML: unknown keys are errors, values are not changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Label(DefinitionModel):
    """What people read: Korean first, English second."""

    ko: str
    en: str


@dataclass(frozen=True)
class Document:
    """One definition file: its plain content, not to be changed, and the line of every value and key in it."""

    kind: str
    path: Path
    data: dict[str, Any]
    lines: dict[Location, tuple[Path, int]]

    def where(self, location: Location) -> str:
        """`file:line: dotted.location` of a value, or of the nearest thing around it that has a line."""
        known = location
        while known and known not in self.lines:
            known = known[:-1]
        path, line = self.lines.get(known, (self.path, 1))
        dotted = ".".join(str(part) for part in location)
        return f"{path}:{line}: {dotted}" if dotted else f"{path}:{line}"

    def error(self, location: Location, message: str) -> DefinitionError:
        """A DefinitionError about one value, for rules that a model cannot state by itself."""
        return DefinitionError([f"{self.where(location)}: {message}"])

    def parse(self, model: type[Model]) -> Model:
        """The content as `model`. Raises DefinitionError with one message for every mistake found."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise DefinitionError(self._explain(model, error)) from None

    def _explain(self, model: type[BaseModel], error: ValidationError) -> Iterator[str]:
        for item in error.errors(include_url=False):
            location = item["loc"]
            if item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"]:
                continue  # it is too short without the item that has a mistake of its own
            if item["type"] == "extra_forbidden":
                hint = suggestion(str(location[-1]), _keys_at(model, location[:-1]))
                yield f"{self.where(location)}: unknown key{hint}"
            elif item["type"] == "missing":
                yield f"{self.where(location)}: missing"
            elif item["type"] == "string_type":
                yield f"{self.where(location)}: must be text, not {item['input']!r}; put it in quotes"
            elif item["type"] in {"model_type", "dict_type", "model_attributes_type"}:
                keys = ", ".join(sorted(_keys_at(model, location)))
                yield f"{self.where(location)}: must be keys with values{keys and f' ({keys})'}, not {item['input']!r}"
            elif item["type"] in {"tuple_type", "list_type"}:
                yield f"{self.where(location)}: must be a list, not {item['input']!r}"
            elif item["type"] == "too_short":
                yield f"{self.where(location)}: needs at least {item['ctx']['min_length']}, not {len(item['input'])}"
            else:
                messages = getattr(item.get("ctx", {}).get("error"), "args", None) or [item["msg"]]
                for message in messages:
                    at, text = self._nearest(location, str(message))
                    yield f"{self.where(at)}: {text}"

    def _nearest(self, location: Location, message: str) -> tuple[Location, str]:
        """The value that a message about something larger names (`steps.1: …`, `unknown field 'x' …`), and the rest."""
        dotted = _DOTTED.match(message)
        if dotted:
            inner = (*location, *(int(part) if part.isdigit() else part for part in dotted[1].split(".")))
            if inner in self.lines:
                return inner, message[dotted.end() :]
        named = _NAMED_FIELD.match(message)
        if named:
            inside = [at for at in self.lines if at[: len(location)] == location and at[-1:] == (named[1],)]
            if inside:
                return inside[0], message
        return location, message


def suggestion(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the candidate nearest to `word`, or nothing if none is near."""
    near = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def load_yaml(kind: str, directory: Path | None = None) -> Document:
    """Read `<kind>.yml` (kind: sources, pages, funnels, sessions …) from `directory`, else the installation's own, else
    the shipped one.

    Raises DefinitionError if the directory or the file does not exist or is not one YAML mapping.
    """
    if directory is not None and not directory.is_dir():
        raise DefinitionError([f"{directory}: no such directory of definitions"])
    own = (directory or own_directory()) / f"{kind}.yml"
    return read_document(kind, own if own.exists() else SHIPPED / f"{kind}.yml")


def with_item(text: str, item: dict[str, Any]) -> str:
    """A file that ends with the list of what it defines, with one more item."""
    dumped = yaml.safe_dump([item], allow_unicode=True, sort_keys=False, width=110)
    listed = re.search("^( *)- ", text, re.MULTILINE)
    return f"{text.rstrip()}\n{textwrap.indent(dumped, listed[1] if listed else '  ')}"


def own_directory() -> Path:
    """Where an installation keeps files of its own, each instead of the shipped one: JOURNEYMART_DEFINITIONS.

    Containers need one, because theirs are part of the image.
    """
    return Path(os.environ.get("JOURNEYMART_DEFINITIONS") or SHIPPED)


def fitting(
    document: Document, items: tuple[Item, ...], problems: Callable[[int], Iterable[str]], directory: Path | None
) -> tuple[Item, ...]:
    """The items of a file if none has a problem; of a shipped file beside other definitions, which need not have what
    it names, those that have none.

    Raises DefinitionError with all problems (messages with file and line, by the number of an item).
    """
    found = [list(problems(number)) for number in range(len(items))]
    if document.path.parent == SHIPPED and (directory or own_directory()) != SHIPPED:
        return tuple(item for item, messages in zip(items, found, strict=True) if not messages)
    if any(found):
        raise DefinitionError([message for messages in found for message in messages])
    return items


def read_document(kind: str, path: Path) -> Document:
    """Read one definition file; `load_yaml` decides which."""
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= MAX_BYTES else ""
    except OSError as error:
        raise DefinitionError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise DefinitionError([f"{path}: is not UTF-8 at byte {error.start}"]) from None
    if size > MAX_BYTES:
        raise DefinitionError([f"{path}: is larger than {MAX_BYTES:,} bytes"])
    return document_of(kind, path, text)


@lru_cache(maxsize=64)  # a step asks for most of them several times
def document_of(kind: str, path: Path, text: str) -> Document:
    """Text of a definition file, or as of one; `path` is what mistakes name."""
    loader = _Loader(text)
    try:
        _limit_depth(path, text)
        node = loader.get_single_node()
        reader = _Reader(path, loader)
        data = {} if node is None else reader.read(node, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionError([f"{path}:{line}: {error.problem or 'is not YAML'}"]) from None
    except yaml.YAMLError as error:
        raise DefinitionError([f"{path}: {' '.join(str(error).split())}"]) from None
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise DefinitionError([f"{path}:1: must be a mapping of keys to values"])
    return Document(kind, path, data, reader.lines)


def _limit_depth(path: Path, text: str) -> None:
    """Refuse what libyaml would follow until the stack of the process ends."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise DefinitionError([f"{path}:{line}: too deeply nested values"])


class _Loader(yaml.CSafeLoader):
    """CSafeLoader with the scalars of YAML 1.2: null, true/false, decimal numbers and text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^(?:0|[-+]?[1-9][0-9]*)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:0|[1-9][0-9]*)\.[0-9]+$", list("-+0123456789")),
    ("merge", r"^<<$", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


class _Reader:
    """Turns YAML nodes into plain values and remembers the line of each."""

    def __init__(self, path: Path, loader: _Loader) -> None:
        self.path = path
        self.loader = loader
        self.lines: dict[Location, tuple[Path, int]] = {}
        self.values = 0

    def read(self, node: yaml.Node, location: Location) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(location, (self.path, line))
        self.values += 1
        if self.values > MAX_VALUES or len(location) > MAX_DEPTH:  # deep by aliases, too
            raise DefinitionError([f"{self.path}:{line}: too many or too deeply nested values"])
        if node.tag not in PLAIN_TAGS:
            raise DefinitionError([f"{self.path}:{line}: only plain values are read, not {node.tag}"])
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*location, number)) for number, item in enumerate(node.value)]
        if "\0" in node.value:
            raise DefinitionError([f"{self.path}:{line}: text cannot hold a NUL character"])
        try:
            return self.loader.construct_object(node)
        except ValueError:  # Python reads no number of thousands of digits
            raise DefinitionError([f"{self.path}:{line}: the number is too long"]) from None

    def _read_mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key == "<<":
                raise DefinitionError([f"{self.path}:{line}: a key must be a plain word"])
            if key in result:
                raise DefinitionError([f"{self.path}:{line}: the key '{key}' is there twice"])
            self.lines[(*location, key)] = (self.path, line)
            result[key] = self.read(value_node, (*location, key))
        return result


def _keys_at(model: type[BaseModel], location: Location) -> set[str]:
    """The keys that `model` knows at a location, as they are written in YAML."""
    found: list[Any] = [model]
    for part in location:
        found = [inner for annotation in found for inner in _step(annotation, part)] or found
    keys: set[str] = set()
    for annotation in found:
        for candidate in _unwrap(annotation):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                keys.update(field.alias or name for name, field in candidate.model_fields.items())
    return keys


def _unwrap(annotation: Any) -> Iterator[Any]:
    """The alternatives of a union; anything else as it is."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _unwrap(argument)
    elif typing.get_origin(annotation) is typing.Annotated:
        yield from _unwrap(typing.get_args(annotation)[0])
    else:
        yield annotation


def _step(annotation: Any, part: str | int) -> Iterator[Any]:
    """What is found one key or index further inside an annotation."""
    for candidate in _unwrap(annotation):
        arguments = typing.get_args(candidate)
        if typing.get_origin(candidate) in (list, tuple) and isinstance(part, int):
            yield arguments[0]
        elif typing.get_origin(candidate) is dict:
            yield arguments[1]
        elif isinstance(candidate, type) and issubclass(candidate, BaseModel):
            for name, field in candidate.model_fields.items():
                if part in (name, field.alias):
                    yield field.annotation
