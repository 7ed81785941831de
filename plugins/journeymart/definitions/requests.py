"""Definitions that somebody asks for, from the command line or a form in Airflow, as text of their file."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from journeymart.definitions.check import require
from journeymart.definitions.loader import DefinitionError, document_of, load_yaml, own_directory, with_item
from journeymart.errors import JourneymartError, WrongUsageError
from journeymart.files import replacing

Model = TypeVar("Model", bound=BaseModel)


class RequestError(WrongUsageError):
    """A request that cannot be fulfilled; the message says why."""


def target_of(kind: str, directory: Path | None) -> Path:
    """The file that requests for definitions of a kind (audiences, segments) are added to."""
    return (directory or own_directory()) / f"{kind}.yml"


def origin_of(text: str) -> Any:
    """`from` of an audience: a segment by its name alone, anything else as YAML, read as the file will be."""
    if not text.lstrip().startswith("{"):
        return {"segment": text}
    try:
        return document_of("audiences", Path("--from"), text).data
    except DefinitionError as error:
        raise RequestError(str(error)) from None


def content_of(answers: dict[str, Any]) -> dict[str, Any]:
    """What was answered as a definition: without what was left open."""
    return {name: answer for name, answer in answers.items() if answer}


def read(model: type[Model], content: Any) -> Model:
    """What is asked for, from plain values. Raises RequestError with every mistake, a line each."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = (
            f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors()
        )
        raise RequestError("\n".join(mistakes)) from None


def with_definition(kind: str, content: dict[str, Any], directory: Path | None = None) -> str:
    """The file of a kind in `directory` (default: the installation's own definitions) with one more definition; as it
    is, if that one is already there.

    Raises RequestError if the name is taken, and with every mistake that the definitions as a whole would have.
    """
    document = load_yaml(kind, directory)
    text = document.path.read_text(encoding="utf-8")
    listed = document.data.get(kind) or []
    if content in listed:
        return text
    if any(item.get("id") == content.get("id") for item in listed):
        raise RequestError(f"{document.path}: {content['id']} is there already; edit it there, or take another name")
    text = with_item(text if listed else f"{kind}:\n", content)
    with tempfile.TemporaryDirectory() as folder:
        tried, target = Path(folder) / "definitions", target_of(kind, directory)
        tried.mkdir()
        for path in target.parent.glob("*.y*ml"):
            shutil.copy(path, tried)
        (tried / target.name).write_text(text, encoding="utf-8")
        try:
            require(tried)
        except DefinitionError as error:
            raise RequestError(str(error).replace(f"{tried}/", f"{target.parent}/")) from error
        if load_yaml(kind, tried).data[kind][-1] != content:  # YAML takes some characters for the end of a line
            raise RequestError(f"{content['id']}: has text that cannot be written to {target.name}")
    return text


def add(kind: str, content: dict[str, Any], directory: Path | None = None) -> None:
    """Add a definition to the file of its kind: at once and as a whole, or not at all; nothing if it is there.

    Raises RequestError as `with_definition`, and JourneymartError if the file cannot be written.
    """
    target = target_of(kind, directory)
    try:
        target.parent.mkdir(exist_ok=True)
        with _alone(target.parent):
            text = with_definition(kind, content, directory)
            with replacing(target) as file:
                file.write(text.encode())
    except OSError as error:  # a container's definitions are part of its image
        raise JourneymartError(f"{target}: cannot be written: {error.strerror}") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else adds to a file of the directory, and make others wait."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
