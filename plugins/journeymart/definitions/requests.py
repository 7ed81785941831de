"""Audiences that somebody asks for, from the command line or the form in Airflow, as text of audiences.yml."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from journeymart.definitions.check import require
from journeymart.definitions.loader import DefinitionError, load_yaml, own_directory, with_item
from journeymart.errors import WrongUsageError


class AudienceError(WrongUsageError):
    """A request that cannot be fulfilled; the message says why."""


def target_of(directory: Path | None) -> Path:
    """The file that requests are added to."""
    return (directory or own_directory()) / "audiences.yml"


def origin_of(text: str) -> Any:
    """`from` of a definition: a segment by its name alone, anything else as YAML."""
    try:
        return yaml.safe_load(text) if text.lstrip().startswith("{") else {"segment": text}
    except yaml.YAMLError as error:
        raise AudienceError(f"--from is not YAML: {' '.join(str(error).split())}") from None


def content_of(answers: dict[str, Any]) -> dict[str, Any]:
    """What was answered as a definition: without what was left open."""
    return {name: answer for name, answer in answers.items() if answer}


def with_audience(content: dict[str, Any], directory: Path | None = None) -> str:
    """audiences.yml of `directory` (default: the shipped definitions) with one more audience; as it is, if that one is
    already there.

    Raises AudienceError if the name is taken, and with every mistake.
    """
    document = load_yaml("audiences", directory)
    text = document.path.read_text(encoding="utf-8")
    listed = document.data.get("audiences") or []
    if content in listed:
        return text
    if any(item.get("id") == content.get("id") for item in listed):
        raise AudienceError(f"{document.path}: {content['id']} is there already; edit it there, or take another name")
    text = with_item(text if listed else "audiences:\n", content)
    with tempfile.TemporaryDirectory() as folder:
        tried, target = Path(folder) / "definitions", target_of(directory)
        if target.parent.is_dir():
            shutil.copytree(target.parent, tried)
        tried.mkdir(exist_ok=True)
        (tried / target.name).write_text(text, encoding="utf-8")
        try:
            require(tried)
        except DefinitionError as error:
            raise AudienceError(str(error).replace(f"{tried}/", f"{target.parent}/")) from error
    return text
