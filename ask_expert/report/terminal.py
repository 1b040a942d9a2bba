"""The report as lines of text for people."""

from collections.abc import Iterator, Sequence

from ask_expert.budget import Room, from_us
from ask_expert.money import SUBSCRIPTION, show, show_paid
from ask_expert.report.json_form import window
from ask_expert.report.summary import LocalSystem, Summary

Block = tuple[str, Sequence[tuple[str, ...]]]
"""A title and its rows; the first cell of a row names it."""


def blocks(summary: Summary) -> Iterator[Block]:
    """Yield the report block by block; an empty block is left out."""
    since = (
        f"{from_us(summary.since_us):%Y-%m-%d %H:%M} UTC" if summary.since_us else ""
    )
    yield (f"Questions since {since}" if since else "Questions", [*_questions(summary)])
    if summary.local.tried or summary.local.tokens:
        yield "Local system, at no cost", [*_local(summary.local)]
    if summary.escalations:
        yield "What it cost", [*_costs(summary)]
        yield "What came of it", [*_outcomes(summary)]
    if summary.rooms:
        rows = [_budget(room, summary) for room in summary.rooms]
        yield "Budgets now", rows
        found = [summary.forecast(room) for room in summary.rooms]
        said = [(each.sentence(summary.zone),) for each in found if each]
        if said:
            yield "Budgets that will not last", said


def _questions(summary: Summary) -> Iterator[tuple[str, ...]]:
    yield "questions", str(summary.questions)
    if summary.escalation_rate is None:
        return
    yield (
        "sent to an expert",
        str(summary.escalations),
        _percent(summary.escalation_rate),
    )
    counts = (
        ("answered", summary.answered),
        ("answered again from the ledger", summary.cached),
        ("stayed local", summary.stay_local),
        ("refused", summary.refused),
        ("wanted a person's word", summary.needs_approval),
        ("held out", summary.held_out),
        ("unavailable", summary.unavailable),
        ("declined by every expert asked", summary.refused_by_expert),
        ("pending", summary.pending),
    )
    yield from ((f"  {name}", str(count)) for name, count in counts if count)


def _local(local: LocalSystem) -> Iterator[tuple[str, ...]]:
    if local.tried:
        said = (
            f"{local.solved} of {local.told} that tell solved it" if local.told else ""
        )
        of = f"of {local.tried} that it tried"
        yield "answered by the local system", str(local.answered), of, said
    yield "local tokens", f"{local.tokens:,}"
    yield "local seconds", f"{local.took_us / 1_000_000:,.1f}"


def _costs(summary: Summary) -> Iterator[tuple[str, ...]]:
    plans = summary.by_subscription
    yield "paid", show_paid(summary.cost_nusd, by_subscription=bool(plans))
    for name, nusd in summary.cost_by_expert.items():
        yield f"  {name}", show_paid(nusd, by_subscription=name in plans)
    for each in summary.served:
        if each.served != each.asked:
            served = each.served or "a model it did not name"
            yield (
                f"  {each.expert}",
                f"asked {each.asked}",
                f"served {served} ({each.tries}×)",
            )
    if summary.unresolved_tries:
        yield (
            "unresolved",
            show_paid(summary.unresolved_nusd, by_subscription=bool(plans)),
            f"at most, {summary.unresolved_tries} tries of unknown fate",
        )
    if summary.reconciled_tries:
        worst = f"{summary.worst_case_tries} of them at worst case"
        yield (
            "reconciled",
            f"{summary.reconciled_tries} tries",
            f"{worst}, {show(summary.worst_case_nusd)}",
        )
    for each in summary.disagreements:
        yield (
            f"  {each.expert}",
            f"reports {show(each.reported_nusd)}",
            f"our prices make it {show(each.computed_nusd)} ({each.tries}×, over 1 %)",
        )
    tokens = summary.tokens
    yield "tokens in", f"{tokens.input:,}", f"{tokens.cached:,} from a cache"
    yield "tokens out", f"{tokens.output:,}", f"{tokens.reasoning:,} of them reasoning"
    sources = ", ".join(f"{name} ({n})" for name, n in summary.price_sources.items())
    if sources:
        yield "prices from", sources


def _outcomes(summary: Summary) -> Iterator[tuple[str, ...]]:
    outcomes = summary.outcomes
    late = f"{outcomes.late} told later than 24 h after" if outcomes.late else ""
    yield "helped", str(outcomes.helped), late
    yield "no difference", str(outcomes.no_difference)
    yield "harmed", str(outcomes.harmed)
    yield "unknown", str(outcomes.unknown)
    if outcomes.solved_rate is not None:
        share = f"{outcomes.solved} of {outcomes.told} that tell"
        yield "solved after asking", _percent(outcomes.solved_rate), share


def _budget(room: Room, summary: Summary) -> tuple[str, ...]:
    cap = room.cap
    name = f"{cap.scope} {window(cap, summary.zone)}"
    of = f" ({cap.whose})" if cap.whose else ""
    left: list[str] = []
    if room.left_nusd is not None:
        left.append(f"{show(room.left_nusd)} of {show(cap.nusd or 0)} left")
    if room.calls_left is not None:
        left.append(f"{room.calls_left} of {cap.calls} calls left")
    if room.tokens_left is not None:
        left.append(f"{room.tokens_left:,} of {cap.tokens:,} tokens left")
    by_plan = bool(summary.by_subscription) and cap.nusd is None
    spent = f"{show_paid(room.spent_nusd, by_subscription=by_plan)} spent"
    if by_plan and not room.spent_nusd:
        spent = SUBSCRIPTION
    if room.reserved_nusd:
        spent += f", {show(room.reserved_nusd)} reserved"
    return f"{name}{of}", "; ".join(left), "" if cap.scope == "call" else spent


def _percent(share: float) -> str:
    return f"{share:.0%}"
