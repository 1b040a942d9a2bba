"""
Money: `Decimal` US dollars outside, whole nano-dollars in the ledger.

One USD is 10^9 nano-dollars (nUSD): the cheapest cached token on today's price
lists is 10 nUSD, and a signed 64-bit column holds nine billion dollars. Every
conversion rounds up, so that a ledger never understates a cost.
"""

from decimal import ROUND_CEILING, Decimal

NANO = 1_000_000_000
SUBSCRIPTION = "subscription"
"""Source of a price where a subscription pays: it counts as nothing, and is no $0."""

_MTOK = 1_000_000


def nusd(usd: Decimal) -> int:
    """
    Return whole nano-dollars, rounded up.

    Raises:
        ValueError: `usd` is infinite or not a number.
    """
    if not usd.is_finite():
        raise ValueError(f"not an amount of money: {usd}")
    return int((usd * NANO).to_integral_value(rounding=ROUND_CEILING))


def usd(amount_nusd: int) -> Decimal:
    """Return exact dollars for whole nano-dollars."""
    return Decimal(amount_nusd) / NANO


def tokens_nusd(tokens: int, usd_per_mtok: Decimal) -> int:
    """Return the price of `tokens` at USD per million tokens, in nUSD, rounded up."""
    return nusd(usd_per_mtok * tokens / _MTOK)


def tokens_within(amount_nusd: int, usd_per_mtok: Decimal) -> int:
    """Return how many tokens `amount_nusd` buys, rounded down; a free token has no limit."""
    if usd_per_mtok <= 0:
        return 2**31
    return int(usd(amount_nusd) * _MTOK / usd_per_mtok)


def show(amount_nusd: int) -> str:
    """
    Return an amount for people: cents at least, six decimals at most.

    >>> show(1_000_000_000), show(12_300_000), show(450)
    ('$1.00', '$0.0123', '$0.000001')
    """
    if amount_nusd < 0:
        return f"-{show(-amount_nusd)}"
    micro = Decimal(-(-amount_nusd // 1000)) / 1_000_000
    text = f"{micro:.6f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents:0<2}"


def show_paid(amount_nusd: int, *, by_subscription: bool) -> str:
    """
    Return what was paid, for people: a subscription is named and never shown as $0.

    >>> show_paid(0, by_subscription=True), show_paid(NANO, by_subscription=True)
    ('subscription', '$1.00 + subscription')
    """
    if not by_subscription:
        return show(amount_nusd)
    return f"{show(amount_nusd)} + {SUBSCRIPTION}" if amount_nusd else SUBSCRIPTION


def usd_text(amount_nusd: int, *, by_subscription: bool) -> str | None:
    """Return dollars as decimal text for JSON; None where only a subscription paid."""
    if by_subscription and not amount_nusd:
        return None
    return f"{usd(amount_nusd):f}"
