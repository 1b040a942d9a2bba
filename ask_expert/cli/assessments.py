"""What `ask-expert assess` does between its options and its output."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast, get_args

import typer

from ask_expert import assessing, intake
from ask_expert import house as houses
from ask_expert.assessing import Assessment, Wanted
from ask_expert.cli import output
from ask_expert.confidence.assess import given
from ask_expert.confidence.measured import Measured
from ask_expert.confidence.signals.registry import SIGNALS
from ask_expert.errors import LocalModelError
from ask_expert.experts.http import new_client
from ask_expert.local.client import LocalModel
from ask_expert.local.probe import prefix_cache
from ask_expert.local_settings import LocalSettings
from ask_expert.policy.local_system import AnswerKind
from ask_expert.question import Question
from ask_expert.yaml_file import nearest

UNCALIBRATED = "uncalibrated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    An assessment, and what there is to say around it.

    Attributes:
        local: The local model's settings.
        assessment: What was measured.
        signals: All signals, those that cost nothing first.
        cache: Prompt tokens looked up and found in the server's prefix cache
            meanwhile; None where it tells none.
    """

    local: LocalSettings
    assessment: Assessment
    signals: tuple[Measured, ...]
    cache: tuple[int, int] | None


def wanted(
    signals: tuple[str, ...],
    *,
    kind: str | None,
    samples: int,
    max_tokens: int,
    max_seconds: float,
) -> Wanted:
    """
    Return what is to be measured.

    Raises:
        BadParameter: A signal or a kind is none.
    """
    for name in signals:
        if name not in SIGNALS:
            hint = nearest(name, [*SIGNALS])
            text = f"no signal {name!r} is measured; {hint}"
            raise typer.BadParameter(text, param_hint="--signal")
    kinds = get_args(AnswerKind)
    if kind is not None and kind not in kinds:
        raise typer.BadParameter(nearest(kind, [*kinds]), param_hint="--kind")
    return Wanted(
        signals=signals or tuple(SIGNALS),
        max_tokens=max_tokens,
        max_seconds=max_seconds,
        samples=samples,
        kind=cast("AnswerKind | None", kind),
    )


async def assessed(
    home: Path, environ: Mapping[str, str], question: Question, what: Wanted
) -> Found:
    """
    Measure; the question is masked first, as every question is.

    Raises:
        ConfigError: The settings are wrong, or name no local model.
        InvalidQuestionError: The question cannot be used.
        LedgerError: The ledger cannot be read.
    """
    house = houses.build(home, environ=environ, on_record=False)
    try:
        case = intake.take_in(house, question)
        async with new_client() as client:
            local = assessing.local_of(house)
            key = assessing.local_key(local, environ)
            model = LocalModel(
                client, base_url=local.base_url, model=local.model, key=key
            )
            before = await _cache(model)
            assessment = await assessing.measured(house, case, client, what)
            after = await _cache(model)
    finally:
        house.ledger.close()
    cache = None
    if before is not None and after is not None:
        cache = (after[0] - before[0], after[1] - before[1])
    signals = (*given(assessment.facts), *assessment.signals)
    return Found(local=local, assessment=assessment, signals=signals, cache=cache)


async def _cache(model: LocalModel) -> tuple[int, int] | None:
    try:
        return await prefix_cache(model)
    except LocalModelError:
        return None


def fields(found: Found) -> dict[str, object]:
    """Return an assessment as JSON has it."""
    assessment, can = found.assessment, found.assessment.can
    confidence = assessment.facts.get("confidence")
    return {
        "model": found.local.model,
        "server": can.server if can else None,
        "can": asdict(can) if can else None,
        "answer": assessment.answer,
        "kind": assessment.kind,
        "kind_given": assessment.kind_given,
        "signals": [asdict(each) for each in found.signals],
        "tokens": assessment.tokens,
        "seconds": round(assessment.seconds, 3),
        "prefix_cache": _cache_fields(found.cache),
        "confidence": UNCALIBRATED if confidence is None else confidence,
        "calibration": assessment.calibration,
    }


def _cache_fields(cache: tuple[int, int] | None) -> dict[str, object] | None:
    if cache is None:
        return None
    queries, hits = cache
    rate = round(hits / queries, 3) if queries else None
    return {"queries": queries, "hits": hits, "hit_rate": rate}


def show(found: Found) -> None:
    """Print an assessment for people."""
    assessment = found.assessment
    if assessment.answer:
        output.say(f"{assessment.answer}\n")
    rows = [
        (
            each.name,
            "" if each.value is None else f"{each.value:.4g}",
            str(each.tokens or ""),
            f"{each.seconds:.2f}" if each.tokens else "",
            each.why_absent or "",
        )
        for each in found.signals
    ]
    output.table(rows, head=("signal", "value", "tokens", "seconds", "why absent"))
    can = assessment.can
    kind = assessment.kind or "not needed"
    stated = "given" if assessment.kind_given else "detected"
    queries, hits = found.cache or (0, 0)
    confidence = assessment.facts.get("confidence", UNCALIBRATED)
    output.say()
    output.table(
        [
            ("model", f"{found.local.model} on {can.server if can else 'no server'}"),
            ("kind of answer", f"{kind}, {stated}" if assessment.kind else kind),
            ("all together", f"{assessment.tokens} tokens, {assessment.seconds:.1f} s"),
            (
                "prefix cache",
                f"{hits / queries:.0%} of {queries} tokens" if queries else "",
            ),
            ("confidence", f"{confidence} ({assessment.calibration})"),
        ]
    )
