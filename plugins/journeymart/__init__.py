"""journeymart: an on-premises platform for customer-behaviour data."""

__version__ = "0.1.0"
