"""
One expert of the ladder, ready to be asked: with its key, its price and its room.

Nothing is set aside here; whoever may not or cannot be asked is passed over.
"""

import time
from dataclasses import dataclass, replace

from ask_expert.breaker import Guarded
from ask_expert.budget import to_us
from ask_expert.experts import prices
from ask_expert.experts.body import base_url
from ask_expert.experts.desk import Call, Desk, Failed, priced
from ask_expert.experts.ladder import too_long
from ask_expert.experts.registry import wire_for
from ask_expert.experts.tokens import likely_tokens
from ask_expert.experts.wire import Wire
from ask_expert.ledger.leases import LEASE_US
from ask_expert.ledger.owner import this_process
from ask_expert.ledger.records import TryRequest, new_id
from ask_expert.limits import without_calls
from ask_expert.money import show
from ask_expert.question import Prompt
from ask_expert.settings import ExpertSettings

FLOOR_TOKENS = 2048
"""An output ceiling is not shrunk below this, or the expert's own if that is less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """
    One expert, ready to be asked.

    Attributes:
        expert: Its settings, with the price and the output ceiling that count here.
        wire: How it is spoken to.
        key: Its key, if it needs one.
        prompt: What it is sent.
        quote: What a try can cost.
        escalation_id: The escalation.
        position: Its place among those of the question.
        deadline: On the monotonic clock, for all tries together, in seconds.
        want_nusd: The worst case at the full output ceiling.
    """

    expert: ExpertSettings
    wire: Wire
    key: str | None
    prompt: Prompt
    quote: prices.Quote
    escalation_id: str
    position: int
    deadline: float
    want_nusd: int

    @property
    def guarded(self) -> Guarded:
        """What its breaker guards."""
        expert = self.expert
        address = base_url(expert, self.wire.default_base_url)
        return Guarded(
            expert=expert.name,
            address=f"{expert.api} {address} {expert.model}",
            after=expert.break_after,
        )

    @property
    def least_nusd(self) -> int:
        """The worst case at the smallest useful output ceiling."""
        return self.quote.worst_case_nusd(
            min(FLOOR_TOKENS, self.expert.max_output_tokens)
        )

    def request(self, call: Call, desk: Desk, *, number: int) -> TryRequest:
        """Return the try of that number, with every budget it has to fit into."""
        now = desk.clock()
        return TryRequest(
            escalation_id=self.escalation_id,
            position=self.position,
            number=number,
            expert=self.expert.name,
            model=self.expert.model,
            template=self.prompt.template,
            caps=desk.caps(call.question, self.expert.name, now),
            want_nusd=self.want_nusd,
            least_nusd=self.least_nusd,
            price_source=self.quote.source,
            input_bound_tokens=self.quote.input_tokens,
            sent_us=to_us(now),
            lease_us=to_us(now) + LEASE_US,
            owner=this_process(),
            marks=call.marks.new,
            too_old=call.too_old,
            guarded=self.guarded,
            least_output_tokens=min(FLOOR_TOKENS, self.expert.max_output_tokens),
            approved=call.approved,
        )

    def ceiling(self, granted_nusd: int) -> int:
        """Return the output tokens that so much money pays for."""
        return min(
            self.expert.max_output_tokens, self.quote.ceiling_within(granted_nusd)
        )


def rung_for(
    desk: Desk, call: Call, expert: ExpertSettings, prompt: Prompt, position: int
) -> Rung | Failed:
    """Return the expert with its price, or why it is passed over."""
    wire = wire_for(expert.api)
    key = desk.key_for(expert)
    body = wire.encode(expert, prompt, max_output_tokens=expert.max_output_tokens).body
    likely = likely_tokens(body)
    least = min(FLOOR_TOKENS, expert.max_output_tokens)
    if too_long(expert, likely_tokens=likely, least=least):
        return Failed(
            reason=(
                f"{expert.name} reads and writes at most {expert.context_window:,} "
                f"tokens together; this question likely has {likely:,}."
            ),
            recorded=False,
            too_long=True,
        )
    if expert.context_window is not None:
        room = max(least, expert.context_window - likely)
        ceiling = min(expert.max_output_tokens, room)
        expert = expert.model_copy(update={"max_output_tokens": ceiling})
    expert, quote = priced(expert, body, desk.clock(), desk.unknown_price)
    rung = Rung(
        expert=expert,
        wire=wire,
        key=key,
        prompt=prompt,
        quote=quote,
        escalation_id=new_id("e"),
        position=position,
        deadline=time.monotonic() + expert.timeout_s,
        want_nusd=quote.worst_case_nusd(expert.max_output_tokens),
    )
    why_not = _not_allowed(desk, call, rung)
    if why_not is not None:
        return Failed(reason=why_not, recorded=False)
    return _within_word(call, rung)


def _within_word(call: Call, rung: Rung) -> Rung | Failed:
    """Return the expert with a worst case that no person has to be asked for again."""
    if call.allowed_nusd is None:
        return rung
    left = call.allowed_nusd - call.paid_nusd - call.held_nusd
    if rung.least_nusd <= left:
        return replace(rung, want_nusd=min(rung.want_nusd, left))
    name = rung.expert.name
    what = "as approved" if call.approved else "without a person's approval"
    return Failed(
        reason=(
            f"{name} may cost {show(rung.want_nusd)}; {what}, this question may "
            f"cost {show(max(0, left))} more."
        ),
        recorded=False,
        needs_person=name,
    )


def _not_allowed(desk: Desk, call: Call, rung: Rung) -> str | None:
    """Return why this expert may not be asked, whatever room the budgets have."""
    caps = desk.caps(call.question, rung.expert.name, desk.clock())
    return without_calls(rung.expert, caps)
