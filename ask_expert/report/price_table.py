"""What a model costs: the unit prices that would be used, and a call at its worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ask_expert.errors import UnknownPriceError
from ask_expert.experts import price_list
from ask_expert.experts.price_list import UnitPrices
from ask_expert.money import SUBSCRIPTION, nusd, show, tokens_nusd
from ask_expert.report.json_form import number
from ask_expert.settings import ExpertSettings

_KINDS = ("input", "cache_read", "cache_write", "cache_write_long", "output")
_NEEDED: dict[str, dict[str, object]] = {
    "vertex_anthropic": {"region": "global"},
    "vertex_gemini": {"region": "global"},
    "command": {"command": ("vendor-program",)},
}
"""What a wire format needs beside a model, for an expert that is made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Unit prices of every token of a call with more input than `above_tokens`."""

    above_tokens: int
    prices: UnitPrices


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A call's tokens: all input, and all output with reasoning."""

    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """
    The price of one expert's model.

    Attributes:
        expert: Who would be asked.
        configured: Whether the settings name it; if not, it is made up for the model.
        tiers: Prices by length of the input, from 0 on; none when no price is known.
        size: Size of the call to bound, if one is given.
        worst_case_nusd: What such a call costs at most; None without size or price.
    """

    expert: ExpertSettings
    configured: bool
    tiers: tuple[Tier, ...]
    size: Size | None
    worst_case_nusd: int | None

    @property
    def known(self) -> bool:
        """Whether there is a price."""
        return bool(self.tiers)


def priced(
    expert: ExpertSettings, now: datetime, size: Size | None, *, configured: bool = True
) -> Priced:
    """Return what an expert's model costs now; an unknown price is no exception."""
    try:
        tiers = _tiers(expert, now)
    except UnknownPriceError:
        return Priced(
            expert=expert,
            configured=configured,
            tiers=(),
            size=size,
            worst_case_nusd=None,
        )
    return Priced(
        expert=expert,
        configured=configured,
        tiers=tiers,
        size=size,
        worst_case_nusd=None if size is None else _worst_nusd(tiers, size),
    )


def for_model(
    model: str,
    known: Sequence[ExpertSettings],
    now: datetime,
    *,
    api: str | None = None,
    tokens_in: int | None = None,
    tokens_out: int | None = None,
) -> list[Priced]:
    """
    Return the price of a model as each expert that asks it would pay it.

    Args:
        model: The model, or the name of an expert.
        known: The experts there are; without one that asks the model, one is made up.
        now: Prices depend on the date.
        api: Wire format; None is any, `openai_chat` for one that is made up.
        tokens_in: Input of a call to bound; 0 when only its output is given.
        tokens_out: Its output; the expert's own ceiling when only its input is given.
    """
    found = [
        each
        for each in known
        if model in {each.model, each.name} and api in {None, each.api}
    ]
    asked = found or [
        ExpertSettings.model_validate(
            {
                "name": "my-expert",
                "api": api or "openai_chat",
                "model": model,
                **_NEEDED.get(api or "", {}),
            }
        )
    ]
    return [
        priced(each, now, _size(each, tokens_in, tokens_out), configured=each in found)
        for each in asked
    ]


def source(expert: ExpertSettings, now: datetime) -> str | None:
    """Return where an expert's price is from; None when none is known."""
    try:
        return _unit_prices(expert, now, 0).source
    except UnknownPriceError:
        return None


HEAD = ("input tokens", "input", "cached", "cache write", "long cache", "output")
"""Names of the cells of a tier; prices are in USD per million tokens."""


def heading(table: Priced) -> str:
    """Return whose price it is, in one line."""
    whose = table.expert.name if table.configured else "in no settings"
    return f"{table.expert.model} ({whose}, {table.expert.api})"


def cells(table: Priced) -> list[tuple[str, ...]]:
    """Return the unit prices as a table shows them, a row a tier."""
    rows: list[tuple[str, ...]] = []
    for tier in table.tiers:
        several = f"above {tier.above_tokens:,}" if tier.above_tokens else "any"
        if not tier.above_tokens and len(table.tiers) > 1:
            several = f"up to {table.tiers[1].above_tokens:,}"
        prices = [show(nusd(getattr(tier.prices, kind))) for kind in _KINDS]
        if tier.prices.source == SUBSCRIPTION:
            prices = [SUBSCRIPTION] * len(_KINDS)
        rows.append((several, *prices))
    return rows


def sentences(table: Priced) -> list[str]:
    """Return what else is to be said of a price, a line each."""
    if not table.known:
        return [str(UnknownPriceError(table.expert.model)), "", to_set(table)]
    first = table.tiers[0].prices
    if first.source == SUBSCRIPTION:
        return ["A subscription pays; a call has no price, and counts as one call."]
    found = [f"Prices in USD per million tokens, by {first.source} ({first.model})."]
    if first.reasoning != first.output:
        found.append(f"Reasoning costs {show(nusd(first.reasoning))}.")
    if first.request:
        found.append(f"Each call costs {show(nusd(first.request))} besides.")
    if first.surcharge > 1:
        found.append(
            f"They include {first.surcharge} times for the tier or region asked for."
        )
    if table.size is not None and table.worst_case_nusd is not None:
        found.append(
            f"A call of {table.size.tokens_in:,} tokens in and "
            f"{table.size.tokens_out:,} out costs at most {show(table.worst_case_nusd)}."
        )
    return found


def to_set(table: Priced) -> str:
    """Return the lines of the settings that give a price."""
    expert = table.expert
    return (
        "experts:\n"
        f"  - name: {expert.name}\n"
        f"    api: {expert.api}\n"
        f"    model: {_quoted(expert.model)}\n"
        f"{f'    region: {expert.region}{chr(10)}' if expert.region else ''}"
        "    price:               # USD per million tokens, from the vendor's page\n"
        "      input_per_mtok: …\n"
        "      output_per_mtok: …\n"
        "      cache_read_per_mtok: …   # as input when absent\n"
        "      cache_write_per_mtok: …  # 1.25 times input when absent"
    )


def as_json(table: Priced) -> dict[str, object]:
    """Return a price as JSON can carry it; amounts are US dollars."""
    worst, size, tiers = table.worst_case_nusd, table.size, table.tiers
    first = tiers[0].prices if tiers else None
    if first is not None and first.source == SUBSCRIPTION:
        worst, tiers = None, ()
    return {
        "expert": table.expert.name if table.configured else None,
        "api": table.expert.api,
        "model": table.expert.model,
        "source": first.source if first else None,
        "priced_as": first.model if first else None,
        "tiers": [
            {
                "above_input_tokens": tier.above_tokens,
                **{
                    f"{kind}_usd_per_mtok": str(getattr(tier.prices, kind))
                    for kind in (*_KINDS, "reasoning")
                },
                "call_usd": str(tier.prices.request),
            }
            for tier in tiers
        ],
        "tokens_in": size.tokens_in if size else None,
        "tokens_out": size.tokens_out if size else None,
        "worst_case_usd": None if worst is None else number(worst),
        "to_set": None if table.known else to_set(table),
    }


def _size(
    expert: ExpertSettings, tokens_in: int | None, tokens_out: int | None
) -> Size | None:
    if tokens_in is None and tokens_out is None:
        return None
    ceiling = expert.max_output_tokens if tokens_out is None else tokens_out
    return Size(tokens_in=tokens_in or 0, tokens_out=ceiling)


def _tiers(expert: ExpertSettings, now: datetime) -> tuple[Tier, ...]:
    base = _unit_prices(expert, now, 0)
    own = expert.price is not None or base.source == SUBSCRIPTION
    thresholds = [] if own else price_list.thresholds(expert, expert.model, now)
    higher = (
        Tier(above_tokens=above, prices=_unit_prices(expert, now, above + 1))
        for above in thresholds
    )
    return (Tier(above_tokens=0, prices=base), *higher)


def _worst_nusd(tiers: Sequence[Tier], size: Size) -> int:
    """Bound a call as a reservation does: input at its dearest, output in full."""
    reached = [each for each in tiers if size.tokens_in > each.above_tokens]
    prices = (reached or tiers)[-1 if reached else 0].prices
    dearest = max(prices.input, prices.cache_write)
    return (
        tokens_nusd(size.tokens_in, dearest)
        + nusd(prices.request)
        + tokens_nusd(size.tokens_out, max(prices.output, prices.reasoning))
    )


def _unit_prices(expert: ExpertSettings, now: datetime, tokens: int) -> UnitPrices:
    if expert.price is not None:
        return price_list.from_settings(expert.price, expert.model)
    tier = expert.extra_body.get("service_tier") or expert.extra_body.get("serviceTier")
    speed = expert.extra_body.get("speed")
    return price_list.listed(
        expert,
        expert.model,
        now,
        input_tokens=tokens,
        service_tier=tier if isinstance(tier, str) else None,
        speed=speed if isinstance(speed, str) else None,
    )


def _quoted(model: str) -> str:
    """Return a model's name as YAML reads it."""
    return f"'{model.replace(chr(39), chr(39) * 2)}'"
