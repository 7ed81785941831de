"""definitions/exchange_rates.yml: won per unit of a currency, by the date from which a rate holds."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, field_validator

from journeymart.definitions.loader import DefinitionModel

KIND = "exchange_rates"
WON = "KRW"
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Rate = Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=6)]


class ExchangeRatesFile(DefinitionModel):
    """The file as a whole: rates by currency (ISO 4217) and date."""

    exchange_rates: dict[Currency, Annotated[dict[date, Rate], Field(min_length=1)]] = Field(default_factory=dict)

    @field_validator("exchange_rates")
    @classmethod
    def _without_won(cls, value: dict[str, Any]) -> dict[str, Any]:
        if WON in value:
            raise ValueError(f"a {WON} is always worth one")
        return value

    def content(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Plain values for `config.definition`, one definition for each currency; numbers as text, which is exact."""
        rates = {WON: {date.min: Decimal(1)}, **self.exchange_rates}
        return {
            (KIND, currency): {"krw_per_unit": {day.isoformat(): f"{rate:f}" for day, rate in sorted(by_day.items())}}
            for currency, by_day in rates.items()
        }
