"""What a consultation works with, what it is about, and how it can end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from random import Random

from ask_expert.budget import Cap, Denied, Limit, caps
from ask_expert.errors import UnknownPriceError
from ask_expert.experts import http, prices
from ask_expert.ledger.records import Joined, QuestionRecord
from ask_expert.ledger.store import Ledger
from ask_expert.question import Prompt
from ask_expert.redaction import Marks, Masker
from ask_expert.reply import Charge, ExpertAnswer
from ask_expert.settings import ExpertSettings, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPrice:
    """Whether an expert without a known price may be asked, and what to assume."""

    allow: bool = False
    assumed: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """
    What a consultation works with.

    Attributes:
        ledger: Where money is set aside.
        client: HTTP client.
        masker: Scans the bytes that leave.
        key_for: Returns an expert's key, or None if it needs none.
        limits: The policy's budgets.
        unknown_price: What the policy says of an expert without a known price.
        stores_answers: Whether the ledger keeps answers.
        clock: The present, in UTC.
        zone: Time zone of calendar windows.
        rng: Jitter of the waits between tries.
    """

    ledger: Ledger
    client: http.httpx.AsyncClient
    masker: Masker
    key_for: Callable[[ExpertSettings], str | None]
    limits: tuple[Limit, ...]
    stores_answers: bool
    clock: Callable[[], datetime]
    zone: tzinfo = UTC
    rng: Random = field(default_factory=Random)
    unknown_price: UnknownPrice = field(default_factory=UnknownPrice)

    def caps(
        self, question: QuestionRecord, expert: str, now: datetime
    ) -> tuple[Cap, ...]:
        """Return every budget that a try of this expert has to fit into."""
        return caps(
            self.limits,
            caller=question.caller,
            task=question.task,
            expert=expert,
            now=now,
            zone=self.zone,
        )


@dataclass(slots=True, kw_only=True)
class Call:
    """
    One question on its way to the ladder.

    Attributes:
        question: The question with its decision, as it goes on record.
        prompt: What the expert is sent.
        key: Keyed hash of all that makes it the same question.
        ladder: Experts to ask, in this order, until one answers.
        marks: Marks of the thread.
        too_old: The same question's earlier answer that does not serve any more.
        abandoned: The caller is gone; what was not sent yet is not sent.
    """

    question: QuestionRecord
    key: str
    prompt: Prompt
    ladder: tuple[ExpertSettings, ...]
    marks: Marks
    too_old: str | None = None
    abandoned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """
    An expert answered, and what that cost is booked.

    Attributes:
        expert: The expert that answered.
        answer: What it said, masked.
        charge: What it cost.
        book: Books it, where the ledger could not be written yet.
    """

    expert: ExpertSettings
    answer: ExpertAnswer
    charge: Charge
    book: Callable[[], Awaitable[bool]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No expert answered; every reservation is released or stays counted."""

    reason: str
    recorded: bool
    may_be_billed: bool = False


Result = Settled | Denied | Joined | Failed


def priced(
    expert: ExpertSettings, body: bytes, now: datetime, unknown: UnknownPrice
) -> tuple[ExpertSettings, prices.Quote]:
    """
    Return the expert with the price that counts, and the quote for a request.

    Raises:
        UnknownPriceError: There is no price and the policy does not allow that.
    """
    try:
        return expert, prices.quote(expert, body, now)
    except UnknownPriceError:
        if not unknown.allow:
            raise
    free = Price(input_per_mtok=Decimal(0), output_per_mtok=Decimal(0))
    assumed = expert.model_copy(update={"price": unknown.assumed or free})
    quote = prices.quote(assumed, body, now)
    return assumed, replace(quote, source="assumed")
