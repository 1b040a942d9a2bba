"""The report as JSON; the one place where money becomes a number with a point."""

from datetime import tzinfo

from ask_expert.budget import FOREVER_US, Cap, Room, from_us
from ask_expert.forecast import Forecast
from ask_expert.ledger.export import moment
from ask_expert.money import usd
from ask_expert.report.summary import Summary
from ask_expert.window_keys import pairs_of


def as_json(summary: Summary) -> dict[str, object]:
    """Return the report as JSON can carry it; amounts are US dollars."""
    tokens, outcomes, local = summary.tokens, summary.outcomes, summary.local
    plans = summary.by_subscription
    return {
        "since": moment(summary.since_us) if summary.since_us else None,
        "until": moment(summary.until_us),
        "questions": summary.questions,
        "escalations": summary.escalations,
        "escalation_rate": summary.escalation_rate,
        "answered": summary.answered,
        "refused": summary.refused,
        "stay_local": summary.stay_local,
        "cached": summary.cached,
        "pending": summary.pending,
        "unavailable": summary.unavailable,
        "needs_approval": summary.needs_approval,
        "held_out": summary.held_out,
        "refused_by_expert": summary.refused_by_expert,
        "cost_usd": paid(summary.cost_nusd, by_subscription=bool(plans)),
        "cost_usd_by_expert": {
            name: paid(nusd, by_subscription=name in plans)
            for name, nusd in summary.cost_by_expert.items()
        },
        "by_subscription": sorted(plans),
        "tokens": {
            "input": tokens.input,
            "output": tokens.output,
            "cached": tokens.cached,
            "reasoning": tokens.reasoning,
        },
        "local": {
            "tried": local.tried,
            "answered": local.answered,
            "told": local.told,
            "solved": local.solved,
            "tokens": local.tokens,
            "seconds": local.took_us / 1_000_000,
        },
        "outcomes": {
            "helped": outcomes.helped,
            "no_difference": outcomes.no_difference,
            "harmed": outcomes.harmed,
            "unknown": outcomes.unknown,
        },
        "late_outcomes": outcomes.late,
        "solved_after_rate": outcomes.solved_rate,
        "unresolved": {
            "tries": summary.unresolved_tries,
            "usd": number(summary.unresolved_nusd),
        },
        "reconciled": {
            "tries": summary.reconciled_tries,
            "worst_case_tries": summary.worst_case_tries,
            "worst_case_usd": number(summary.worst_case_nusd),
        },
        "served_models": _served(summary),
        "price_sources": dict(summary.price_sources),
        "cost_disagreements": [
            {
                "expert": each.expert,
                "tries": each.tries,
                "reported_usd": number(each.reported_nusd),
                "computed_usd": number(each.computed_nusd),
            }
            for each in summary.disagreements
        ],
        "budgets": None
        if summary.rooms is None
        else [_budget(room, summary) for room in summary.rooms],
    }


def number(nusd: int) -> float:
    """Return dollars as a JSON number."""
    return float(usd(nusd))


def paid(nusd: int, *, by_subscription: bool) -> float | None:
    """Return dollars as a JSON number; null where only a subscription paid."""
    return None if by_subscription and not nusd else number(nusd)


def window(cap: Cap, zone: tzinfo) -> str:
    """Return the first day, or the owner, of a budget's window, e.g. `2026-11-22`."""
    if cap.rolling:
        return "rolling"
    if cap.scope == "hour":
        return f"{from_us(cap.start_us).astimezone(zone):%Y-%m-%dT%H:%M}"
    if cap.end_us < FOREVER_US:
        return f"{from_us(cap.start_us).astimezone(zone):%Y-%m-%d}"
    if cap.scope == "total":
        return "all time"
    if cap.scope == "expert":
        return cap.expert
    return pairs_of(cap.key).get(cap.scope) or f"every {cap.scope}"


def _budget(room: Room, summary: Summary) -> dict[str, object]:
    cap = room.cap
    endless = cap.rolling or cap.end_us >= FOREVER_US
    return {
        "scope": cap.scope,
        "window": window(cap, summary.zone),
        "expert": cap.expert or None,
        "per": pairs_of(cap.key),
        "mode": cap.mode,
        "rolling": cap.rolling,
        "cap_usd": None if cap.nusd is None else number(cap.nusd),
        "spent_usd": number(room.spent_nusd),
        "reserved_usd": number(room.reserved_nusd),
        "left_usd": None if room.left_nusd is None else number(room.left_nusd),
        "cap_calls": cap.calls,
        "calls": room.calls,
        "cap_tokens": cap.tokens,
        "tokens": room.tokens,
        "reserved_tokens": room.reserved_tokens,
        "ends_at": None if endless else moment(cap.end_us),
        "forecast": _forecast(summary.forecast(room), summary.zone),
    }


def _forecast(found: Forecast | None, zone: tzinfo) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "used_up_at": moment(found.used_up_us),
        "unit": found.unit,
        "says": found.sentence(zone),
    }


def _served(summary: Summary) -> dict[str, dict[str, int]]:
    """Return, for each expert, how often which model answered; `unnamed` if not told."""
    found: dict[str, dict[str, int]] = {}
    for each in summary.served:
        models = found.setdefault(each.expert, {})
        name = each.served or "unnamed"
        models[name] = models.get(name, 0) + each.tries
    return found
