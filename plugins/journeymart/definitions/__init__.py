"""Business definitions as YAML: what is landed, how pages are named, which funnels exist.

`load_yaml(kind, directory)` reads `<kind>.yml` from a directory of the user's, or the shipped one where it is
absent there; `Document.parse(Model)` turns it into a pydantic model. Every mistake is reported with file and line.
"""

from journeymart.definitions.loader import (
    SHIPPED,
    DefinitionError,
    DefinitionModel,
    Document,
    Label,
    load_yaml,
    suggestion,
)

__all__ = ["SHIPPED", "DefinitionError", "DefinitionModel", "Document", "Label", "load_yaml", "suggestion"]
