"""Show what would be decided, sent and at most paid; nothing leaves, nothing is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ask_expert.budget import Limit
from ask_expert.errors import ConfigError, UnknownPriceError
from ask_expert.experts.body import base_url
from ask_expert.experts.registry import wire_for
from ask_expert.house import House
from ask_expert.intake import Case
from ask_expert.money import SUBSCRIPTION
from ask_expert.policy.decide import Decision
from ask_expert.question import Prompt
from ask_expert.settings import ExpertSettings, needs_calls_budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What one expert would be sent.

    Attributes:
        expert: Its name.
        model: Its model.
        endpoint: Where the request would go.
        worst_case_nusd: Most it can cost; None without a known price.
        price_source: Where the price is from, or why there is none.
        input_tokens: Upper bound of the input.
        output_tokens: Output ceiling.
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
        decision: What the policy decides.
        asked: The first expert of the ladder, or all of a panel; none is configured
            where it is empty.
        prompt: The text that they would be sent, for people.
        template: Name and version of what the expert is told.
        masked: Kinds of the secrets that were replaced.
        sent: Names of the parts and files that would be sent.
        left_out: Those that would not, or not whole, with the reason.
    """

    decision: Decision
    asked: tuple[Asked, ...]
    prompt: str
    template: str
    masked: tuple[str, ...]
    sent: tuple[str, ...]
    left_out: tuple[str, ...]

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


def preview(
    house: House,
    case: Case,
    decision: Decision,
    prompt: Prompt,
    ladder: Sequence[ExpertSettings],
) -> Preview:
    """
    Return what asking the first expert of the ladder, or a panel, would send and cost.

    Raises:
        ConfigError: The only expert cannot be asked as the settings say.
    """
    experts = ladder[: max(1, decision.panel)]
    return Preview(
        decision=decision,
        asked=tuple(_asked(house, prompt, each, len(experts)) for each in experts),
        prompt="\n\n".join((prompt.system, *(turn.text for turn in prompt.turns))),
        template=prompt.template,
        masked=case.marks.kinds,
        sent=prompt.sent,
        left_out=prompt.left_out,
    )


def without_calls(expert: ExpertSettings, limits: Iterable[Limit]) -> str | None:
    """Return what is missing where a subscription pays and no budget counts calls."""
    if not needs_calls_budget(expert):
        return None
    if any(limit.calls is not None for limit in limits):
        return None
    return (
        f"{expert.name} is paid by a subscription, and no budget of the policy counts "
        "calls: add one, e.g. {scope: day, calls: 20}."
    )


def _asked(house: House, prompt: Prompt, expert: ExpertSettings, of: int) -> Asked:
    try:
        return _request(house, prompt, expert)
    except ConfigError as error:
        if of == 1:
            raise
        # The others of a panel are asked without it.
        return Asked(expert=expert.name, model=expert.model, why_not=str(error))


def _request(house: House, prompt: Prompt, expert: ExpertSettings) -> Asked:
    wire = wire_for(expert.api)
    request = wire.encode(expert, prompt, max_output_tokens=expert.max_output_tokens)
    worst: int | None = None
    tokens = 0
    why_not = without_calls(expert, house.limits)
    try:
        quote = house.quote(expert, request.body)
    except (ConfigError, UnknownPriceError) as error:
        source = why_not = str(error)
    else:
        worst = quote.worst_case_nusd(expert.max_output_tokens)
        tokens, source = quote.input_tokens, quote.source
    return Asked(
        expert=expert.name,
        model=expert.model,
        endpoint=f"{base_url(expert, request.base_url or wire.default_base_url)}{request.path}",
        worst_case_nusd=worst,
        price_source=source,
        input_tokens=tokens,
        output_tokens=expert.max_output_tokens,
        body=request.body.decode(),
        still_secret=house.masker.scan(request.body),
        why_not=why_not,
    )
