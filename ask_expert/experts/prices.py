"""
What a call can cost at most, and what it did cost.

Precedence: the provider's own figure, then `price:` of the settings, then
genai-prices' bundled snapshot. Every amount is whole nano-dollars, each line
rounded up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from ask_expert.errors import UnknownPriceError
from ask_expert.experts import price_list
from ask_expert.experts.price_list import UnitPrices
from ask_expert.experts.reading import said_bound
from ask_expert.experts.tokens import upper_bound_tokens
from ask_expert.money import SUBSCRIPTION, nusd, tokens_nusd, tokens_within
from ask_expert.reply import Charge, ExpertAnswer, Usage
from ask_expert.settings import ExpertSettings

__all__ = ["SUBSCRIPTION", "Quote", "charge", "quote", "upper_bound_tokens"]

_LONG_CACHE = b'"ttl"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """
    The most that one try can cost.

    Attributes:
        input_tokens: Upper bound of the input.
        input_nusd: Its price at the dearest way it can be billed.
        output_usd_per_mtok: Price of output, reasoning included.
        source: Where the prices come from.
        detail: Unit prices, for recomputing.
    """

    input_tokens: int
    input_nusd: int
    output_usd_per_mtok: Decimal
    source: str
    detail: Mapping[str, str] = field(default_factory=dict[str, str])

    def worst_case_nusd(self, max_output_tokens: int) -> int:
        """Return what the call costs if it uses every token it is granted."""
        return self.input_nusd + tokens_nusd(
            max_output_tokens, self.output_usd_per_mtok
        )

    def ceiling_within(self, room_nusd: int) -> int:
        """Return the output tokens that still fit; 0 if not even the input does."""
        left = room_nusd - self.input_nusd
        return 0 if left < 0 else tokens_within(left, self.output_usd_per_mtok)


def quote(expert: ExpertSettings, body: bytes, now: datetime) -> Quote:
    """
    Bound the cost of sending `body`.

    The input is taken as written to a cache where that costs more, and a faster
    tier that `extra_body` asks for is priced as asked.

    Raises:
        UnknownPriceError: No price is known.
    """
    tokens = upper_bound_tokens(body, api=expert.api)
    prices = _quoted(expert, now, tokens)
    dearest = max(prices.input, prices.cache_write)
    if _LONG_CACHE in body:
        dearest = max(dearest, prices.cache_write_long)
    return Quote(
        input_tokens=tokens,
        input_nusd=tokens_nusd(tokens, dearest) + nusd(prices.request),
        output_usd_per_mtok=max(prices.output, prices.reasoning),
        source=prices.source,
        detail=prices.detail(),
    )


def charge(
    expert: ExpertSettings,
    answer: ExpertAnswer,
    now: datetime,
    *,
    assumed_input_tokens: int = 0,
    assumed_output_tokens: int = 0,
) -> Charge:
    """
    Price one answer at the tier and by the model that served it.

    Where the reply did not tell all of its usage, what was not told is taken at its
    most, and at the dearer of the prices of output and reasoning.

    Args:
        expert: Who was asked.
        answer: What came back.
        now: Time of the request; prices depend on it.
        assumed_input_tokens: Input to assume where the reply named none, or 0.
        assumed_output_tokens: Least output to assume where the reply named none, or
            broke off before it did: pass the granted ceiling to err on the safe
            side, since reasoning cannot be seen.

    Returns:
        Where the provider names the cost, that cost, with ours as `computed_nusd` in
        the detail if it can be worked out; never less than our own for a reply that
        broke off.

    Raises:
        UnknownPriceError: No price is known.
    """
    usage = _at_most(answer, assumed_input_tokens, assumed_output_tokens)
    told = answer.usage.source
    reported = answer.reported_cost_usd
    detail = {} if usage.source == "provider" else {"usage": usage.source}
    if reported is not None:
        detail = {"reported_cost_usd": str(reported), **detail}
        if answer.finish != "partial" and told != "partial":
            if told != "estimated":
                detail |= _computed(expert, answer, now)
            return Charge(nusd=nusd(reported), source="provider", detail=detail)
    prices = _charged(expert, answer, now, usage.all_input_tokens)
    nano = _sum(usage, prices)
    if reported is not None:
        nano = max(nano, nusd(reported))
    return Charge(
        nusd=nano,
        source=prices.source,
        detail={**prices.detail(), **_served(answer), **detail},
    )


def _at_most(answer: ExpertAnswer, input_tokens: int, output_tokens: int) -> Usage:
    """Fill in what the provider did not tell; an input of 0 tells nothing."""
    usage = answer.usage
    if not usage.all_input_tokens:
        usage = replace(usage, input_tokens=input_tokens)
    if usage.source == "provider":
        return usage
    said = said_bound(answer.text)
    usage = replace(usage, output_tokens=max(usage.output_tokens, output_tokens, said))
    if usage.source == "partial":
        return usage
    return Usage(
        input_tokens=max(usage.input_tokens, input_tokens),
        output_tokens=usage.output_tokens,
        source="estimated",
    )


def _computed(
    expert: ExpertSettings, answer: ExpertAnswer, now: datetime
) -> dict[str, str]:
    """Return what our own prices make of a call whose cost the provider names."""
    try:
        prices = _charged(expert, answer, now, answer.usage.all_input_tokens)
    except UnknownPriceError:
        return {}
    nano = _sum(answer.usage, prices)
    return {"computed_nusd": str(nano), "computed_source": prices.source}


def _sum(usage: Usage, prices: UnitPrices) -> int:
    reasoning = min(usage.reasoning_tokens, usage.output_tokens)
    told = usage.source == "provider"
    output = prices.output if told else max(prices.output, prices.reasoning)
    lines = (
        (usage.input_tokens, prices.input),
        (usage.cache_read_tokens, prices.cache_read),
        (usage.cache_write_tokens, prices.cache_write),
        (usage.cache_write_long_tokens, prices.cache_write_long),
        (usage.output_tokens - reasoning, output),
        (reasoning, prices.reasoning),
    )
    tokens = sum(tokens_nusd(count, price) for count, price in lines)
    return tokens + nusd(prices.request)


def _quoted(expert: ExpertSettings, now: datetime, tokens: int) -> UnitPrices:
    if expert.price is not None:
        return price_list.from_settings(expert.price, expert.model)
    return price_list.listed(
        expert,
        expert.model,
        now,
        input_tokens=tokens,
        service_tier=_text(
            expert.extra_body.get("service_tier")
            or expert.extra_body.get("serviceTier")
        ),
        speed=_text(expert.extra_body.get("speed")),
    )


def _charged(
    expert: ExpertSettings, answer: ExpertAnswer, now: datetime, tokens: int
) -> UnitPrices:
    """Price the served model; under a name the list does not know, the asked one."""
    served = answer.provenance.served_model or expert.model
    if expert.price is not None:
        return price_list.from_settings(expert.price, expert.model)
    for model in dict.fromkeys((served, expert.model)):
        try:
            return price_list.listed(
                expert,
                model,
                now,
                input_tokens=tokens,
                service_tier=answer.provenance.service_tier,
                speed=answer.speed,
            )
        except UnknownPriceError:
            continue
    raise UnknownPriceError(expert.model)


def _served(answer: ExpertAnswer) -> dict[str, str]:
    facts = {
        "service_tier": answer.provenance.service_tier,
        "speed": answer.speed,
    }
    return {name: value for name, value in facts.items() if value}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
