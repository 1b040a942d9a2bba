"""
Put a question before the local model, and make facts of what is measured.

Nothing of it leaves for an expert, and nothing of it costs money.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from ask_expert import casework
from ask_expert.confidence import prompts
from ask_expert.confidence.assess import with_measured
from ask_expert.confidence.calibration import store
from ask_expert.confidence.calibration.document import (
    ANY_KIND,
    Applied,
    Document,
    apply,
)
from ask_expert.confidence.measured import Measured
from ask_expert.confidence.measuring import CanChange, Plan, Step
from ask_expert.confidence.sitting import ANSWER_TOKENS, Problem, Sitting
from ask_expert.errors import ConfigError
from ask_expert.experts.http import httpx
from ask_expert.house import House
from ask_expert.intake import Case
from ask_expert.ledger.records import LocalRecord
from ask_expert.local.client import LocalModel
from ask_expert.local.probe import Capabilities, probed
from ask_expert.local.route import Need, Route, choose, tokens_needed
from ask_expert.local_settings import LocalSettings
from ask_expert.policy.local_system import AnswerKind
from ask_expert.policy.situations import can_change
from ask_expert.question import Facts, Turn

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def always(facts: Facts, pending: Collection[str]) -> bool:
    """Let nothing end the measuring early."""
    del facts, pending
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What is to be measured; see the policy's `assess`.

    Attributes:
        signals: Names.
        max_tokens: Most local tokens.
        max_seconds: Most seconds.
        samples: Most answers that vote.
        kind: What the answers are; detected when absent.
        can_change: Ends it early; see `Plan`.
    """

    signals: Sequence[str]
    max_tokens: int
    max_seconds: float
    samples: int
    kind: AnswerKind | None = None
    can_change: CanChange = always


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """
    What was measured, and on what.

    Attributes:
        facts: What rules can test, signals and confidence included.
        signals: Every signal that was wanted, absent ones with the reason.
        tokens: Local tokens of all of them.
        seconds: Seconds of all of them.
        can: What the server can give; None when it could not be asked.
        kind: What the answers are, where two were compared.
        kind_given: That kind was given, not detected.
        answer: The local model's own greedy answer, where there is one.
        calibration: How the confidence came about, or why there is none.
        model: The model that was asked; "" when none was.
    """

    facts: Facts
    signals: tuple[Measured, ...]
    tokens: int
    seconds: float
    can: Capabilities | None = None
    kind: AnswerKind | None = None
    kind_given: bool = False
    answer: str | None = None
    calibration: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """
    What the road knows of a question before it decides.

    Attributes:
        facts: What rules can test.
        local: What measuring it has left for the question's row.
    """

    facts: Facts
    local: LocalRecord = field(default_factory=LocalRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """
    The calibration of the local model, if there is one.

    Attributes:
        document: All calibrations of the home.
        model: The local model; None when none is set up.
        kind: Kind of answer; a calibration for any kind serves it too.
        why: Why nothing can be applied at all; "" when something may be.
    """

    document: Document
    model: str | None
    kind: str
    why: str = ""

    def applied(self, known: Facts) -> Applied:
        """Return the probability that the local answer is right, or why there is none."""
        if self.model is None or self.why:
            return Applied(
                probability=None, reason=self.why or "no local model is set up"
            )
        numbers = {
            name: float(each)
            for name, each in known.items()
            if not isinstance(each, str) and name != "confidence"
        }
        return apply(self.document, numbers, model=self.model, kind=self.kind)

    def facts(self, known: Facts) -> Facts:
        """Return the facts with a confidence, if there is one."""
        probability = self.applied(known).probability
        return known if probability is None else {**known, "confidence": probability}

    @property
    def signals(self) -> frozenset[str]:
        """Every signal that it takes."""
        return frozenset(
            name
            for fit in self.document.fits
            if fit.model == self.model and fit.target == "local"
            for formula in fit.formulas
            for name in formula.signals
        )


def calibration(
    house: House, kind: str | None = None, *, model: str | None = None
) -> Calibration:
    """
    Return a local model's calibration; a file that cannot be read is as none.

    Args:
        house: Where it is kept.
        kind: Kind of answer.
        model: The model; the first in the settings when absent.
    """
    first = next(iter(house.settings.locals), None)
    model, kind = model or (first.model if first else None), kind or ANY_KIND
    try:
        document = store.load(house.home)
    except ConfigError as error:
        _log.warning("the calibration cannot be used", error=str(error))
        return Calibration(document=Document(), model=model, kind=kind, why=str(error))
    return Calibration(document=document, model=model, kind=kind)


def unmeasured(house: House, case: Case) -> Facts:
    """Return what the policy's rules can test without asking the local model."""
    return calibration(house).facts(casework.facts(case))


async def assessed(house: House, case: Case) -> Assessed:
    """Return what the policy's rules can test, with the signals that it names."""
    assess = house.policy.assess
    if assess is None or not house.settings.locals:
        return Assessed(facts=unmeasured(house, case))
    stops = partial(can_change, house.policy)
    wanted = Wanted(
        signals=assess.signals,
        max_tokens=assess.max_tokens,
        max_seconds=assess.max_seconds,
        samples=assess.samples,
        kind=assess.kind,
        can_change=stops if assess.stop_when_decided else always,
    )
    try:
        found = await measured(house, case, house.desk().client, wanted)
    except ConfigError as error:
        _log.warning("nothing is measured", error=str(error))
        return Assessed(facts=unmeasured(house, case))
    _log.info(
        "assessed",
        question_id=case.id,
        tokens=found.tokens,
        seconds=round(found.seconds, 3),
        absent={
            each.name: each.why_absent for each in found.signals if each.why_absent
        },
    )
    if not found.model:
        return Assessed(facts=found.facts)
    local = LocalRecord(
        assess_tokens=found.tokens,
        assess_us=round(found.seconds * 1_000_000),
        model=found.model,
        kind=found.kind,
    )
    return Assessed(facts=found.facts, local=local)


async def measured(
    house: House, case: Case, client: httpx.AsyncClient, wanted: Wanted
) -> Assessment:
    """
    Measure, within the limits; what cannot be measured is absent, with the reason.

    Raises:
        ConfigError: The settings name no local model, or its key is missing.
    """
    problem = _problem(case, wanted)
    turns = prompts.solve(problem.text)
    way = route(house, case, turns, max_tokens=ANSWER_TOKENS, kind=wanted.kind)
    models = _models(house, client, way.local or local_of(house))
    began_s = house.clock_s()

    async def sit() -> Sitting:
        can = await probed(models[0], home=house.home)
        return Sitting(
            problem=problem,
            model=models[0],
            can=can,
            samples=wanted.samples,
            max_tokens=wanted.max_tokens,
            second=models[1] if len(models) > 1 else None,
        )

    calibrated = calibration(house, wanted.kind, model=models[0].model)
    plan = Plan(
        signals=wanted.signals,
        max_seconds=wanted.max_seconds,
        can_change=wanted.can_change,
        calibrate=calibrated.facts,
        moves_confidence=calibrated.signals,
    )
    step = Step(plan=plan, sit=sit, clock_s=house.clock_s)
    before = casework.facts(case)
    signals = await step.run(before)
    known, sitting = with_measured(before, signals), step.sitting
    applied = calibrated.applied(known)
    found = Assessment(
        facts=calibrated.facts(known),
        signals=signals,
        tokens=0,
        seconds=house.clock_s() - began_s,
        calibration=applied.reason or applied.method or "",
    )
    if sitting is None:
        return found
    comparison = sitting.comparison
    return replace(
        found,
        tokens=sitting.tokens,
        can=sitting.can,
        kind=comparison.kind if comparison else None,
        kind_given=comparison.given if comparison else False,
        answer=sitting.first_text,
        model=sitting.model.model,
    )


def route(
    house: House,
    case: Case,
    turns: Sequence[Turn],
    *,
    max_tokens: int,
    kind: AnswerKind | None,
) -> Route:
    """
    Return which local server takes a question, and why.

    Raises:
        ConfigError: The settings name none.
    """
    local_of(house)
    need = Need(
        tokens=tokens_needed(turns, max_tokens=max_tokens),
        role=kind,
        began_at=case.past.local_name,
    )
    return choose(house.settings.locals, need)


def local_of(house: House) -> LocalSettings:
    """
    Return where the local model is.

    Raises:
        ConfigError: The settings name none.
    """
    if not house.settings.locals:
        raise ConfigError("no local model is set up; give `local:` in settings.yaml")
    return house.settings.locals[0]


def _models(
    house: House, client: httpx.AsyncClient, first: LocalSettings
) -> tuple[LocalModel, ...]:
    """Return a local model, and the one that it is compared with, if there is one."""
    return tuple(
        model_at(house, client, local) for local in (first, *others(house, first)[:1])
    )


def others(house: House, first: LocalSettings) -> tuple[LocalSettings, ...]:
    """Return the models that can be asked beside one, its own server's second first."""
    rest = [each for each in house.settings.locals if each is not first]
    if first.second_model is not None:
        rest = [first.model_copy(update={"model": first.second_model}), *rest]
    return tuple(rest)


def model_at(
    house: House, client: httpx.AsyncClient, local: LocalSettings
) -> LocalModel:
    """
    Return the model of a local server.

    Raises:
        ConfigError: Its key is missing.
    """
    return LocalModel(
        client,
        base_url=local.base_url,
        model=local.model,
        key=local_key(local, house.environ),
        clock_s=house.clock_s,
    )


def local_key(local: LocalSettings, environ: Mapping[str, str]) -> str | None:
    """
    Return the key of a local server; None when it wants none.

    Raises:
        ConfigError: Its variable is not set.
    """
    if local.key_env is None:
        return None
    key = environ.get(local.key_env)
    if not key:
        raise ConfigError(f"the variable {local.key_env} of the local model is not set")
    return key


def _problem(case: Case, wanted: Wanted) -> Problem:
    """Return the masked question with what is needed to answer it."""
    question = case.question
    parts = [question.text]
    if question.context:
        parts.append(f"Context:\n{question.context}")
    if question.error:
        parts.append(f"Error:\n{question.error}")
    text = "\n\n".join(parts)
    return Problem(text=text, draft=question.my_answer, kind=wanted.kind)
