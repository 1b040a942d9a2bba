"""Show what would be decided, sent and at most paid; nothing leaves, nothing is written."""

from dataclasses import dataclass

from ask_expert.errors import ConfigError, UnknownPriceError
from ask_expert.experts.registry import wire_for
from ask_expert.house import House
from ask_expert.intake import Case
from ask_expert.policy.decide import Decision
from ask_expert.question import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """
    A dry run's result.

    Attributes:
        decision: What the policy decides.
        expert: First expert of the ladder.
        model: Its model.
        endpoint: Where the request would go.
        worst_case_nusd: Most it can cost; None without a known price.
        price_source: Where the price is from, or why there is none.
        input_tokens: Upper bound of the input.
        output_tokens: Output ceiling.
        body: The exact masked bytes that would be sent, as text.
        prompt: The text in them, for people.
        masked: Kinds of the secrets that were replaced.
        left_out: Files that would not be sent, with the reason.
        still_secret: Kinds that the last scan found; not empty means: would be aborted.
    """

    decision: Decision
    expert: str | None
    model: str | None
    endpoint: str | None
    worst_case_nusd: int | None
    price_source: str
    input_tokens: int
    output_tokens: int
    body: str
    prompt: str
    masked: tuple[str, ...]
    left_out: tuple[str, ...]
    still_secret: tuple[str, ...]


def preview(house: House, case: Case, decision: Decision, prompt: Prompt) -> Preview:
    """Return what asking the first expert of the ladder would send and cost."""
    text = "\n\n".join((prompt.system, *(turn.text for turn in prompt.turns)))
    left_out = tuple(
        f"{each.path}: {each.left_out}" for each in case.attachments if each.left_out
    )
    ladder = house.ladder()
    if not ladder:
        return Preview(
            decision=decision,
            expert=None,
            model=None,
            endpoint=None,
            worst_case_nusd=None,
            price_source="no expert is configured",
            input_tokens=0,
            output_tokens=0,
            body="",
            prompt=text,
            masked=case.marks.kinds,
            left_out=left_out,
            still_secret=(),
        )
    expert = ladder[0]
    wire = wire_for(expert.api)
    request = wire.encode(expert, prompt, max_output_tokens=expert.max_output_tokens)
    worst: int | None = None
    tokens = 0
    try:
        quote = house.quote(expert, request.body)
        worst, tokens = (
            quote.worst_case_nusd(expert.max_output_tokens),
            quote.input_tokens,
        )
        source = quote.source
    except (ConfigError, UnknownPriceError) as error:
        source = str(error)
    return Preview(
        decision=decision,
        expert=expert.name,
        model=expert.model,
        endpoint=f"{expert.base_url or wire.default_base_url}{request.path}",
        worst_case_nusd=worst,
        price_source=source,
        input_tokens=tokens,
        output_tokens=expert.max_output_tokens,
        body=request.body.decode(),
        prompt=text,
        masked=case.marks.kinds,
        left_out=left_out,
        still_secret=house.masker.scan(request.body),
    )
