"""What a validation found: one check per rule."""

from __future__ import annotations

from dataclasses import dataclass

from journeymart.errors import JourneymartError


class QualityError(JourneymartError):
    """The gate itself did not work, which is no verdict on the data: nothing may be published on it."""


@dataclass(frozen=True)
class Check:
    """The outcome of one rule.

    `observed` is a short text: what was found, never a personal value. `docs_path` is the page in Data Docs,
    relative to their folder, with the rule's anchor. `is_error` says that the rule could not be evaluated.
    """

    check_id: str
    suite: str
    severity: str
    passed: bool
    observed: str
    docs_path: str
    is_error: bool = False


@dataclass(frozen=True)
class ValidationResult:
    """Every rule's outcome in one run, in the order of the rule files."""

    run_id: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> tuple[Check, ...]:
        """Rules that hold."""
        return tuple(check for check in self.checks if check.passed)

    @property
    def failed(self) -> tuple[Check, ...]:
        """Rules that do not hold, warnings included."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def critical(self) -> tuple[Check, ...]:
        """Failures that stop publication: critical rules, and any rule that could not be evaluated."""
        return tuple(check for check in self.failed if check.severity == "critical" or check.is_error)
