"""What a run computed becomes what people see, in one transaction."""

from journeymart.publish.publisher import Publication, PublishError, publish

__all__ = ["Publication", "PublishError", "publish"]
