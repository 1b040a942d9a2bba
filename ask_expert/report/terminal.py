"""The report as lines of text for people."""

from collections.abc import Iterator, Sequence

from ask_expert.budget import Room, from_us
from ask_expert.money import show
from ask_expert.report.json_form import window
from ask_expert.report.summary import Summary

Block = tuple[str, Sequence[tuple[str, ...]]]
"""A title and its rows; the first cell of a row names it."""


def blocks(summary: Summary) -> Iterator[Block]:
    """Yield the report block by block; an empty block is left out."""
    since = (
        f"{from_us(summary.since_us):%Y-%m-%d %H:%M} UTC" if summary.since_us else ""
    )
    yield (f"Questions since {since}" if since else "Questions", [*_questions(summary)])
    if summary.escalations:
        yield "What it cost", [*_costs(summary)]
        yield "What came of it", [*_outcomes(summary)]
    if summary.rooms:
        rows = [_budget(room, summary) for room in summary.rooms]
        yield "Budgets now", rows


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
        ("waiting for a person", summary.needs_approval),
        ("held out", summary.held_out),
        ("unavailable", summary.unavailable),
        ("pending", summary.pending),
    )
    yield from ((f"  {name}", str(count)) for name, count in counts if count)


def _costs(summary: Summary) -> Iterator[tuple[str, ...]]:
    yield "paid", show(summary.cost_nusd)
    for name, nusd in summary.cost_by_expert.items():
        yield f"  {name}", show(nusd)
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
            show(summary.unresolved_nusd),
            f"at most, {summary.unresolved_tries} tries of unknown fate",
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
    of = f" ({cap.expert})" if cap.expert else ""
    left: list[str] = []
    if room.left_nusd is not None:
        left.append(f"{show(room.left_nusd)} of {show(cap.nusd or 0)} left")
    if room.calls_left is not None:
        left.append(f"{room.calls_left} of {cap.calls} calls left")
    spent = f"{show(room.spent_nusd)} spent"
    if room.reserved_nusd:
        spent += f", {show(room.reserved_nusd)} reserved"
    return f"{name}{of}", "; ".join(left), "" if cap.scope == "call" else spent


def _percent(share: float) -> str:
    return f"{share:.0%}"
