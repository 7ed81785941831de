"""The trust gate: the rules of expectations/, evaluated by Great Expectations on what is about to be published."""

from journeymart.quality.gate import validate
from journeymart.quality.result import Check, QualityError, ValidationResult
from journeymart.quality.rules import RuleError

__all__ = ["Check", "QualityError", "RuleError", "ValidationResult", "validate"]
