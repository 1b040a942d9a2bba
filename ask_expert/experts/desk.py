"""What a consultation works with, what it is about, and how it can end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from random import Random
from typing import Literal

from ask_expert.budget import Cap, Denied, caps
from ask_expert.errors import UnknownPriceError
from ask_expert.experts import http, prices
from ask_expert.ledger.leases import UnderWay
from ask_expert.ledger.records import Joined, QuestionRecord
from ask_expert.ledger.store import Ledger
from ask_expert.limits import Limit
from ask_expert.question import Prompt
from ask_expert.redaction import Marks, Masker
from ask_expert.reply import Charge, ExpertAnswer, PanelVoice
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
        after_unknown: What the policy says of an expert that may have billed.
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
    after_unknown: Literal["stop", "next_expert"] = "stop"
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
            thread=question.thread,
            expert=expert,
            now=now,
            zone=self.zone,
        )


@dataclass(slots=True, kw_only=True)
class Progress:
    """
    How far an escalation has come, for whoever watches it.

    Attributes:
        expert: Who is being asked; empty before the first is.
        chars: Characters of the answer that have come.
        of: The progress of the call that this one waits for.
    """

    expert: str = ""
    chars: int = 0
    of: "Progress | None" = None

    def line(self) -> str:
        """Return where it stands, as one line."""
        if self.of is not None:
            return self.of.line()
        if not self.expert:
            return "asking the expert"
        if not self.chars:
            return f"{self.expert} is thinking"
        return f"{self.expert} has written {self.chars:,} characters"

    def wrote(self, chars: int) -> None:
        """Note how many characters of the answer have come."""
        self.chars = chars


@dataclass(slots=True, kw_only=True)
class Call:
    """
    One question on its way to the ladder.

    Attributes:
        question: The question with its decision, as it goes on record.
        prompt: What the expert is sent.
        key: Keyed hash of all that makes it the same question.
        ladder: Experts to ask, in this order, until one answers.
        cheapest_first: The whole ladder from its foot, for budgets that degrade.
        marks: Marks of the thread.
        too_old: The same question's earlier answer that does not serve any more.
        abandoned: The caller is gone; what was not sent yet is not sent.
        progress: How far it has come.
        approved: A person said yes to it.
        allowed_nusd: Most that all its tries together may cost without a person's
            word, or with the word that was given; None is no limit but the budgets.
        held_nusd: What its tries of unknown fate, and those on their way, may cost.
        panel: How many experts are asked at once; 0 asks one after the other.
        paid_nusd: What its tries have cost so far.
        under_way: Its tries by id, whose leases are renewed while it goes on.
        unbooked: What books the tries that the ledger could not take yet.
    """

    question: QuestionRecord
    key: str
    prompt: Prompt
    ladder: tuple[ExpertSettings, ...]
    marks: Marks
    too_old: str | None = None
    abandoned: bool = False
    progress: Progress = field(default_factory=Progress)
    approved: bool = False
    allowed_nusd: int | None = None
    held_nusd: int = 0
    panel: int = 0
    cheapest_first: tuple[ExpertSettings, ...] = ()
    paid_nusd: int = 0
    under_way: dict[str, UnderWay] = field(default_factory=dict[str, UnderWay])
    unbooked: list[Callable[[], Awaitable[bool]]] = field(
        default_factory=list[Callable[[], Awaitable[bool]]]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """
    An expert answered, and what that cost is booked.

    Attributes:
        expert: The expert that answered.
        answer: What it said, masked.
        charge: What it cost.
        prompt: What it was sent.
        paid_nusd: What all tries of the question have cost.
        passed_over: Why other experts were not asked or gave no answer.
        may_be_billed: Whether a try of another expert, of unknown fate, stays counted.
        voices: All experts of a panel; empty where one was asked after the other.
        booked: Whether its cost is in the ledger; else `Call.unbooked` does it.
    """

    expert: ExpertSettings
    answer: ExpertAnswer
    charge: Charge
    prompt: Prompt
    paid_nusd: int
    passed_over: tuple[str, ...] = ()
    may_be_billed: bool = False
    voices: tuple[PanelVoice, ...] = ()
    booked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """
    No expert answered; every reservation is released or stays counted.

    Attributes:
        reason: Why, for people and agents.
        recorded: Whether an escalation of it is in the ledger.
        may_be_billed: Whether a try of unknown fate stays counted.
        too_long: The question does not fit into the expert's context window.
        needs_person: Name of an expert that only a person's word lets be asked.
    """

    reason: str
    recorded: bool
    may_be_billed: bool = False
    too_long: bool = False
    needs_person: str | None = None


ABANDONED = "The caller left before the expert was asked."

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
