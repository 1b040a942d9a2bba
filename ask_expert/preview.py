"""Show what would be decided, sent and at most paid; nothing leaves, nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ask_expert import casework, local_first
from ask_expert.budget import Denied, Room, for_expert, grant, most_output
from ask_expert.errors import ConfigError, UnknownPriceError
from ask_expert.experts.body import base_url
from ask_expert.experts.consultation import no_room
from ask_expert.experts.fitting import shorter
from ask_expert.experts.ladder import next_cheaper
from ask_expert.experts.prices import Quote
from ask_expert.experts.registry import wire_for
from ask_expert.experts.rung import FLOOR_TOKENS
from ask_expert.house import House
from ask_expert.intake import Case
from ask_expert.limits import without_calls
from ask_expert.money import SUBSCRIPTION
from ask_expert.policy.decide import Decision
from ask_expert.question import Facts, Prompt
from ask_expert.settings import ExpertSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What one expert would be sent.

    Attributes:
        expert: Its name.
        model: Its model.
        endpoint: Where the request would go.
        worst_case_nusd: Most it can cost, within what the budgets have left; None
            without a known price.
        price_source: Where the price is from, or why there is none.
        input_tokens: Upper bound of the input.
        output_tokens: Output ceiling, as the budgets leave it.
        body: The exact masked bytes that would be sent, as text.
        still_secret: Kinds that the last scan found; not empty means: would be aborted.
        why_not: Why it would be passed over all the same.
    """

    expert: str
    model: str
    endpoint: str = ""
    worst_case_nusd: int | None = None
    price_source: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    body: str = ""
    still_secret: tuple[str, ...] = ()
    why_not: str | None = None

    @property
    def is_by_subscription(self) -> bool:
        """Whether nothing is paid by the call."""
        return self.price_source == SUBSCRIPTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """
    A dry run's result.

    Attributes:
        decision: What the policy decides, and what the budgets make of it.
        asked: The first expert of the ladder that the budgets have room for, or all of
            a panel; the first one of all where there is no room; none is configured
            where it is empty.
        passed_over: Why experts that come before it would not be asked.
        prompt: The text that they would be sent, for people.
        template: Name and version of what the expert is told.
        masked: Kinds of the secrets that were replaced.
        sent: Names of the parts and files that would be sent.
        left_out: Those that would not, or not whole, with the reason.
        local_first: What the local system would do before; None for nothing.
    """

    decision: Decision
    asked: tuple[Asked, ...]
    passed_over: tuple[str, ...]
    prompt: str
    template: str
    masked: tuple[str, ...]
    sent: tuple[str, ...]
    left_out: tuple[str, ...]
    local_first: str | None = None

    @property
    def worst_case_nusd(self) -> int | None:
        """Most that all of them can cost; None if nothing is priced by the call."""
        known = [
            each.worst_case_nusd
            for each in self.asked
            if each.worst_case_nusd is not None and not each.is_by_subscription
        ]
        return sum(known) if known else None

    @property
    def still_secret(self) -> tuple[str, ...]:
        """Kinds of secret that the last scan found in any of the requests."""
        found = (kind for each in self.asked for kind in each.still_secret)
        return tuple(dict.fromkeys(found))


def preview(house: House, case: Case, decision: Decision, known: Facts) -> Preview:
    """
    Return what asking the first expert that can be, or a panel, would send and cost.

    Budgets are read and not touched: a soft one that is full makes it a person's
    matter, one that degrades passes the question on, and a hard one refuses it.

    Raises:
        ConfigError: The only expert cannot be asked as the settings say.
        LedgerError: The budgets cannot be read.
    """
    prompt = casework.prompt(house, case, panel=decision.panel > 1)
    waits = decision.action == "ask_human"
    walk = _Walk(
        house=house,
        prompt=prompt,
        rooms=casework.rooms(
            house, case.question.caller, house.now_us(), case, opening=False
        ),
        approved=waits or case.past.approval is not None,
    )
    ladder = casework.ladder(house, case, known)
    size = min(decision.panel, len(ladder))
    if size > 1:
        walk.panel(ladder[:size])
    else:
        walk.down(ladder)
    return Preview(
        decision=_within_budgets(decision, walk),
        asked=tuple(walk.asked),
        passed_over=tuple(walk.passed_over),
        prompt="\n\n".join((prompt.system, *(turn.text for turn in prompt.turns))),
        template=prompt.template,
        masked=case.marks.kinds,
        sent=prompt.sent,
        left_out=prompt.left_out,
        local_first=local_first.foreseen(house, case, decision, known),
    )


def _within_budgets(decision: Decision, walk: "_Walk") -> Decision:
    """Return what becomes of a decision to escalate where no budget has room."""
    denied = walk.denied
    can_be_asked = any(each.why_not is None for each in walk.asked)
    if decision.action != "escalate" or can_be_asked or denied is None:
        return decision
    reason = denied.reason.removesuffix(".")
    if denied.asks_person:
        return Decision(action="ask_human", rule="soft_budget", reason=reason)
    return replace(decision, action="refuse", reason=reason)


@dataclass(slots=True, kw_only=True)
class _Walk:
    """What would become of the experts of the ladder, as `consult` asks them."""

    house: House
    prompt: Prompt
    rooms: list[Room]
    approved: bool
    asked: list[Asked] = field(default_factory=list[Asked])
    passed_over: list[str] = field(default_factory=list[str])
    denied: Denied | None = None

    def down(self, ladder: Sequence[ExpertSettings]) -> None:
        """Ask one after the other, until one can be asked."""
        first: Asked | None = None
        waiting = list(ladder)
        while waiting:
            expert = waiting.pop(0)
            asked, denied = self._look(expert, alone=first is None)
            first = first or asked
            if asked.why_not is None:
                self.asked.append(asked)
                return
            cheaper: ExpertSettings | None = None
            if denied is not None:
                if denied.asks_person:
                    break
                if denied.degrades:
                    cheaper = next_cheaper(self.house.ladder(), expert, waiting)
            if cheaper is not None and denied is not None:
                waiting.remove(cheaper)
                waiting.insert(0, cheaper)
                self.passed_over.append(no_room(expert, denied))
            else:
                self.passed_over.append(_named(expert, asked.why_not))
        # The first one is shown, and says itself why it is not asked.
        del self.passed_over[:1]
        self.asked += [first] if first else []

    def panel(self, experts: Sequence[ExpertSettings]) -> None:
        """Ask all at once; each leaves less room for those after it."""
        for expert in experts:
            asked, _ = self._look(expert)
            self.asked.append(asked)

    def _look(
        self, expert: ExpertSettings, *, alone: bool = False
    ) -> tuple[Asked, Denied | None]:
        try:
            asked, verdict = _looked_at(self, expert)
        except ConfigError as error:
            if alone:
                raise
            # The others are asked without it.
            why_not = str(error)
            return Asked(expert=expert.name, model=expert.model, why_not=why_not), None
        if not isinstance(verdict, Denied):
            self._take(expert, asked)
            return asked, None
        # Who would have to say yes comes before who could only say no.
        if self.denied is None or verdict.asks_person:
            self.denied = verdict
        return asked, verdict

    def _take(self, expert: ExpertSettings, asked: Asked) -> None:
        """Count what an expert would take, for those who are asked along with it."""
        theirs = {id(room) for room in for_expert(self.rooms, expert.name)}
        self.rooms = [
            replace(
                room,
                reserved_nusd=room.reserved_nusd + (asked.worst_case_nusd or 0),
                reserved_tokens=room.reserved_tokens
                + asked.input_tokens
                + asked.output_tokens,
                calls=room.calls + 1,
            )
            if id(room) in theirs and room.cap.scope != "call"
            else room
            for room in self.rooms
        ]


def _named(expert: ExpertSettings, why: str) -> str:
    return why if why.startswith(expert.name) else f"{expert.name}: {why}"


def _looked_at(walk: _Walk, expert: ExpertSettings) -> tuple[Asked, Denied | None]:
    """Return what an expert would be sent, or what denies even a part of the thread."""
    asked, quote = _request(walk.house, walk.prompt, expert)
    if quote is None or asked.why_not is not None:
        return asked, None
    room, prompt = _room(walk, expert, quote), walk.prompt
    while isinstance(room, Denied) and room.unit != "calls":
        less = shorter(prompt)
        if less is None:
            break
        prompt = less
        _, quote = _request(walk.house, prompt, expert)
        room = _room(walk, expert, quote) if quote else room
    if isinstance(room, Denied):
        return replace(asked, why_not=room.reason), room
    nusd, tokens = room
    asked, _ = _request(walk.house, prompt, expert, output_tokens=tokens)
    return replace(asked, worst_case_nusd=nusd), None


def _request(
    house: House,
    prompt: Prompt,
    expert: ExpertSettings,
    *,
    output_tokens: int | None = None,
) -> tuple[Asked, Quote | None]:
    """Return a request and its price; None where there is no price."""
    wire = wire_for(expert.api)
    ceiling = output_tokens or expert.max_output_tokens
    request = wire.encode(expert, prompt, max_output_tokens=ceiling)
    asked = Asked(
        expert=expert.name,
        model=expert.model,
        endpoint=f"{base_url(expert, request.base_url or wire.default_base_url)}{request.path}",
        output_tokens=ceiling,
        body=request.body.decode(),
        still_secret=house.masker.scan(request.body),
        why_not=without_calls(expert, house.limits),
    )
    try:
        quote = house.quote(expert, request.body)
    except (ConfigError, UnknownPriceError) as error:
        return replace(asked, price_source=str(error), why_not=str(error)), None
    worst = quote.worst_case_nusd(ceiling)
    return replace(
        asked,
        worst_case_nusd=worst,
        price_source=quote.source,
        input_tokens=quote.input_tokens,
    ), quote


def _room(
    walk: _Walk, expert: ExpertSettings, quote: Quote
) -> tuple[int, int] | Denied:
    """Return the nano-dollars and the output tokens that the budgets have room for."""
    ceiling = expert.max_output_tokens
    least = min(FLOOR_TOKENS, ceiling)
    rooms = for_expert(walk.rooms, expert.name)
    granted = grant(
        rooms,
        want_nusd=quote.worst_case_nusd(ceiling),
        least_nusd=quote.worst_case_nusd(least),
        least_tokens=quote.input_tokens + least,
        approved=walk.approved,
    )
    if isinstance(granted, Denied):
        return granted
    most = most_output(rooms, input_tokens=quote.input_tokens, approved=walk.approved)
    tokens = min(ceiling, quote.ceiling_within(granted))
    return granted, tokens if most is None else min(tokens, most)
