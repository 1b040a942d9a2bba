"""
What one model charges for a million tokens of each kind, at one moment.

Two sources: `price:` of the settings, and genai-prices' bundled snapshot, which
is never updated over the network. A model that neither knows has no price, and
no price is not a price of zero.
"""

import re
import warnings
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from ask_expert.errors import UnknownPriceError
from ask_expert.experts.registry import wire_for
from ask_expert.money import SUBSCRIPTION
from ask_expert.settings import ExpertSettings, Price, needs_calls_budget

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, PriceCalculation

_TIERED = (
    "input_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "output_mtok",
    "output_reasoning_mtok",
)
_CACHE_WRITE = Decimal("1.25")
_CACHE_WRITE_LONG = Decimal("2.5")
_SURCHARGE = {"priority": 2, "fast": 2, "ultrafast": 6}
"""What a vendor's faster tiers, and Anthropic's fast mode, at most multiply a price by."""

_VENDORS = {
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "openrouter": "https://openrouter.ai/api/v1",
}

_CLOUDS = {"bedrock": "aws", "vertex_anthropic": "google", "vertex_gemini": "google"}
"""A cloud's prices are its own: another provider's for the same model do not count."""

_OF_CLAUDE = frozenset({"anthropic", "bedrock", "vertex_anthropic"})
_REGIONAL = Decimal("1.1")
"""What Vertex asks for more outside of its global endpoint; AWS lists it apart."""

_PROFILE = re.compile(r"(?:.*/)?((?:[a-z-]+\.)?anthropic\.)")
_DATE = re.compile(r"[-@]\d{8}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPrices:
    """
    Prices of one model, in USD per million tokens; `request` is USD per call.

    Attributes:
        source: `settings`, `genai-prices` with its version, or `subscription`.
        model: The model priced, as the source calls it.
        surcharge: What a tier or region unknown to the source multiplies it by, for
            the record.
    """

    input: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_long: Decimal
    output: Decimal
    reasoning: Decimal
    request: Decimal = Decimal(0)
    source: str
    model: str
    surcharge: Decimal = Decimal(1)

    def detail(self) -> dict[str, str]:
        """Return the prices as text, for recomputing a cost later."""
        return {name: str(value) for name, value in asdict(self).items()}


def from_settings(price: Price, model: str) -> UnitPrices:
    """Return the user's own prices; what is not given is never cheaper than input."""
    read, write = price.cache_read_per_mtok, price.cache_write_per_mtok
    if write is None:
        write = price.input_per_mtok * _CACHE_WRITE
    return UnitPrices(
        input=price.input_per_mtok,
        cache_read=price.input_per_mtok if read is None else read,
        cache_write=write,
        cache_write_long=max(write, price.input_per_mtok * _CACHE_WRITE_LONG),
        output=price.output_per_mtok,
        reasoning=price.output_per_mtok,
        source="settings",
        model=model,
    )


def listed(
    expert: ExpertSettings,
    model: str,
    now: datetime,
    *,
    input_tokens: int,
    service_tier: str | None = None,
    speed: str | None = None,
) -> UnitPrices:
    """
    Return the list prices of genai-prices; a subscription's are zero.

    Args:
        expert: Whose address and wire name the provider.
        model: Model to price.
        now: Prices may depend on date and time of day.
        input_tokens: All input; a tier reached prices every token.
        service_tier: Tier asked for, or served.
        speed: Speed mode, where it decides the price.

    Raises:
        UnknownPriceError: No price of input and output is known.
    """
    if needs_calls_budget(expert):
        return _paid_by_subscription(model)
    context = {"service_tier": service_tier, "speed": speed}
    known = {key: value for key, value in context.items() if value}
    found = _look_up(expert, model, now, known)
    plain = _look_up(expert, model, now, {}) if known else found
    price = found.model_price
    if price.input_mtok is None or price.output_mtok is None:
        raise UnknownPriceError(model)
    prices = _unit_prices(found, input_tokens)
    if expert.api in _OF_CLAUDE:
        known.pop("service_tier", None)  # its priority is bought ahead, at list price
    asked = max((_SURCHARGE.get(value, 1) for value in known.values()), default=1)
    times = Decimal(asked if price == plain.model_price else 1)
    if _CLOUDS.get(expert.api) == "google" and expert.region != "global":
        times *= _REGIONAL
    return _surcharged(prices, times) if times > 1 else prices


def thresholds(expert: ExpertSettings, model: str, now: datetime) -> list[int]:
    """
    Return the lengths of input above which the list names other prices.

    Raises:
        UnknownPriceError: No price is known.
    """
    price = _look_up(expert, model, now, {}).model_price
    starts: set[int] = set()
    for name in _TIERED:
        starts.update(each.start for each in getattr(getattr(price, name), "tiers", ()))
    return sorted(starts)


def _look_up(
    expert: ExpertSettings, model: str, now: datetime, context: dict[str, str]
) -> "PriceCalculation":
    """Look under the address asked, the wire's vendor, then the model's usual one."""
    from genai_prices import Usage, calc_price  # noqa: PLC0415  # 1.6 MB of data

    if expert.api in _CLOUDS:
        return _look_up_cloud(expert, model, now, context)
    vendor = _VENDORS.get(expert.api)
    asked = expert.base_url or vendor or wire_for(expert.api).default_base_url
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a newer unit we do not use
        for url in dict.fromkeys((asked, vendor, None)):
            try:
                return calc_price(
                    Usage(),
                    model,
                    provider_api_url=url,
                    genai_request_timestamp=now,
                    price_context=context or None,
                )
            except (LookupError, ValueError):
                continue
    raise UnknownPriceError(model)


def _look_up_cloud(
    expert: ExpertSettings, model: str, now: datetime, context: dict[str, str]
) -> "PriceCalculation":
    """
    Look under the cloud alone.

    Bedrock's reply names a model without the profile it was asked by, on which the
    price depends, and may date it; the list does neither.
    """
    from genai_prices import Usage, calc_price  # noqa: PLC0415  # 1.6 MB of data

    profile = _PROFILE.match(expert.model) if expert.api == "bedrock" else None
    if profile is not None and "anthropic." not in model:
        model = profile.group(1) + _DATE.sub("", model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a newer unit we do not use
        try:
            return calc_price(
                Usage(),
                model,
                provider_id=_CLOUDS[expert.api],
                genai_request_timestamp=now,
                price_context=context or None,
            )
        except (LookupError, ValueError):
            raise UnknownPriceError(model) from None


def _paid_by_subscription(model: str) -> UnitPrices:
    nothing = Decimal(0)
    return UnitPrices(
        input=nothing,
        cache_read=nothing,
        cache_write=nothing,
        cache_write_long=nothing,
        output=nothing,
        reasoning=nothing,
        source=SUBSCRIPTION,
        model=model,
    )


def _unit_prices(found: "PriceCalculation", input_tokens: int) -> UnitPrices:
    from genai_prices import __version__  # noqa: PLC0415

    price = found.model_price
    read = _at(price, "cache_read_mtok", input_tokens)
    input_ = _at(price, "input_mtok", input_tokens) or Decimal(0)
    output = _at(price, "output_mtok", input_tokens) or Decimal(0)
    write = _first(_at(price, "cache_write_mtok", input_tokens), input_)
    reasoning = _at(price, "output_reasoning_mtok", input_tokens)
    request = _at(price, "requests_kcount", input_tokens) or Decimal(0)
    return UnitPrices(
        input=input_,
        cache_read=_first(read, input_),
        cache_write=write,
        cache_write_long=_first(_at(price, "cache_write_1h_mtok", input_tokens), write),
        output=output,
        reasoning=_first(reasoning, output),
        request=request / 1000,
        source=f"genai-prices {__version__}",
        model=f"{found.provider.id}:{found.model.id}",
    )


def _at(price: "ModelPrice", key: str, input_tokens: int) -> Decimal | None:
    """Return one price at the tier that `input_tokens` reach."""
    value = getattr(price, key)
    if value is None or isinstance(value, Decimal):
        return value
    reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
    return reached[-1] if reached else value.base


def _first(value: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if value is None else value


def _surcharged(prices: UnitPrices, times: Decimal) -> UnitPrices:
    """Multiply by what a faster tier costs where the list does not know it."""
    return replace(
        prices,
        input=prices.input * times,
        cache_read=prices.cache_read * times,
        cache_write=prices.cache_write * times,
        cache_write_long=prices.cache_write_long * times,
        output=prices.output * times,
        reasoning=prices.reasoning * times,
        surcharge=times,
    )
