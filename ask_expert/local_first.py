"""
Let the local system answer what would otherwise go to an expert, at no cost in dollars.

Its answer is given where it passes the check or reaches the bar. Whatever else comes
of it, the question goes on to the expert: nothing is reserved, and nothing blocks.
"""

from dataclasses import dataclass, replace

import anyio
import structlog

from ask_expert import assessing, casework, replies
from ask_expert.answer_block import visible
from ask_expert.assessing import Assessed
from ask_expert.confidence import prompts
from ask_expert.confidence.answers.final import without_thoughts
from ask_expert.confidence.sitting import Problem, Sitting
from ask_expert.errors import AskExpertError, LocalModelError
from ask_expert.experts.cleaning import MOST_ANSWER_CHARS, plain
from ask_expert.experts.desk import Progress
from ask_expert.experts.tokens import turn_bound
from ask_expert.house import House
from ask_expert.in_flight import Remembered
from ask_expert.intake import Case
from ask_expert.ledger.records import Answered, LocalRecord, QuestionRecord
from ask_expert.local.probe import probed
from ask_expert.local.route import Route
from ask_expert.local.strategies import registry
from ask_expert.local.strategies.names import Choice
from ask_expert.local.strategies.work import Meter, Seat, Solved, Work
from ask_expert.local_tools import Figure, Tools, check_of, figure, own_signals
from ask_expert.policy.decide import Decision
from ask_expert.policy.facts import KNOWN_FACTS
from ask_expert.policy.local_system import AnswerKind, LocalFirst
from ask_expert.question import Facts, Turn
from ask_expert.reply import Reply

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

MOST_ANSWER_TOKENS = 2048
"""Most tokens of one answer, however many the policy allows for all of them."""

_LEAST_ANSWER_TOKENS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """
    What came of the local system.

    Attributes:
        local: What goes on the question's row.
        answer: Its masked answer, if it is good enough.
        confidence: Calibrated probability that the answer is right, if there is one.
    """

    local: LocalRecord
    answer: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An answer, what it was found with, and how sure it is."""

    solved: Solved
    figure: Figure
    kind: str | None


def why_not(house: House, case: Case, decision: Decision, known: Facts) -> str | None:
    """Return why the local system is not tried; None when it is."""
    past = case.past
    if house.policy.local_first is None or decision.action != "escalate":
        return "the policy does not say so"
    if not house.settings.locals:
        return "no local model is set up"
    if decision.rule == "approved":
        return "a person approved asking the expert"
    if past.thread_expert is not None or past.answered_by:
        return "an expert has taken this up before"
    failed = past.local_name is not None and known.get("check_failed") is True
    if past.local_in_vain or failed:
        return "an answer of the local system did not end it"
    return None


async def tried(
    house: House,
    case: Case,
    decision: Decision,
    assessed: Assessed,
    progress: Progress,
) -> Tried:
    """Return what came of the local system, within the policy's limits."""
    wanted = house.policy.local_first
    if wanted is None or why_not(house, case, decision, assessed.facts) is not None:
        return Tried(local=assessed.local)
    clock_s = house.clock_s
    meter = Meter(
        max_tokens=wanted.max_tokens, max_seconds=wanted.max_seconds, clock_s=clock_s
    )
    limit_s = min(wanted.max_seconds, house.settings.answer_within_s)
    job = _Job(house=house, case=case, wanted=wanted, facts=assessed.facts, meter=meter)
    local = replace(assessed.local, strategy=wanted.strategy, passed=False)
    try:
        with anyio.fail_after(limit_s):
            way = job.way(job.turns())
            local = _routed(local, way)
            progress.expert = local.name or ""
            found = await job.solved(way)
        result = job.judged(found, local, way)
    except AskExpertError as error:
        result = Tried(local=replace(local, reason=house.masker.scrub(str(error))))
    except TimeoutError:
        reason = f"the time of {limit_s:g} s is over"
        result = Tried(local=replace(local, reason=reason))
    finally:
        progress.expert = ""
    spent = replace(
        result.local, tokens=meter.tokens, took_us=round(meter.seconds * 1_000_000)
    )
    _log.info(
        "local_first",
        question_id=case.id,
        strategy=wanted.strategy,
        passed=result.answer is not None,
        why=spent.reason,
        tokens=meter.tokens,
        seconds=round(meter.seconds, 3),
    )
    return replace(result, local=spent)


def _routed(local: LocalRecord, way: Route) -> LocalRecord:
    if way.local is None:
        raise LocalModelError(f"no local server takes it: {way.reason}")
    return replace(local, name=way.local.label, model=way.local.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One question for the local system."""

    house: House
    case: Case
    wanted: LocalFirst
    facts: Facts
    meter: Meter

    @property
    def text(self) -> str:
        """The question with its evidence, as an expert would be sent it."""
        return casework.prompt(self.house, self.case).turns[-1].text

    def turns(self) -> tuple[Turn, ...]:
        """Return the conversation: its thread so far, then the question."""
        system, question = prompts.solve(self.text)
        return (system, *self.case.history, question)

    def way(self, turns: tuple[Turn, ...]) -> Route:
        """
        Return which server takes it.

        Raises:
            LocalModelError: The policy's tokens are too few for the conversation.
        """
        return assessing.route(
            self.house,
            self.case,
            turns,
            max_tokens=self._answer_tokens(turns, models=1),
            kind=self.kind,
        )

    @property
    def kind(self) -> AnswerKind | None:
        """What the answers are, as the policy says it."""
        assess = self.house.policy.assess
        return self.wanted.kind or (assess.kind if assess else None)

    def _answer_tokens(self, turns: tuple[Turn, ...], *, models: int) -> int:
        """Return the ceiling of one answer, so that all of them keep the limit."""
        # A server's cache makes a prompt cheaper; its absence must not break the limit.
        prompt = sum(map(turn_bound, turns)) // 2
        choice = self.wanted.choice
        room = self.wanted.max_tokens // choice.answers(models=models) - prompt
        if room < _LEAST_ANSWER_TOKENS:
            raise LocalModelError(
                f"{self.wanted.max_tokens:,} tokens are too few for {choice.label} of"
                f" about {prompt:,} tokens a prompt"
            )
        return min(room, MOST_ANSWER_TOKENS)

    async def solved(self, way: Route) -> _Found:
        """
        Return the strategy's answer, and how sure it is.

        Raises:
            AskExpertError: No answer came, or a tool is missing.
        """
        if way.local is None:
            raise LocalModelError(way.reason)
        house, turns = self.house, self.turns()
        client = house.desk().client
        model = assessing.model_at(house, client, way.local)
        can = await probed(model, home=house.home)
        rest: tuple[Seat, ...] = ()
        if self.wanted.strategy == "mixture":
            rest = tuple(
                Seat(model=assessing.model_at(house, client, each), at_once=False)
                for each in assessing.others(house, way.local)
            )
        choice = self.wanted.choice
        problem = Problem(text=self.text, kind=self.kind)
        sitting = Sitting(
            problem=problem,
            model=model,
            can=can,
            samples=choice.count,
            max_tokens=self.wanted.max_tokens,
        )
        tools = Tools(sitting=sitting, meter=self.meter)
        weight = tools.weight if self.wanted.strategy == "weighted_vote" else None
        work = Work(
            turns=turns,
            max_tokens=self._answer_tokens(turns, models=1 + len(rest)),
            check=check_of(house, self.case),
            label=tools.label,
            judge=tools.judge,
            weight=weight,
            top_logprobs=can.top_logprobs,
        )
        thinks = self.wanted.strategy == "think"
        seat = Seat(model=model, at_once=can.n, thinks=thinks)
        solved = await registry.make(choice, others=rest).solve(seat, work, self.meter)
        compared = sitting.comparison
        return _Found(
            solved=solved,
            figure=await self._figure(choice, solved, tools, way.local.model),
            kind=compared.kind if compared else self.kind,
        )

    async def _figure(
        self, choice: Choice, solved: Solved, tools: Tools, model: str
    ) -> Figure:
        """Return how sure the answer is; P(True) is asked for where nothing else is."""
        own = own_signals(choice, solved)
        calibrated = assessing.calibration(self.house, self.kind, model=model)
        scored = solved.score is not None and solved.checked is None
        missing = "p_true" in calibrated.signals or not scored
        wants = self.wanted.bar is not None and solved.checked is None and missing
        if wants and "p_true" not in own and tools.judge and not self.meter.is_used_up:
            judged = await tools.judge(solved.text)
            self.meter.add(judged.tokens)
            own |= {} if judged.p_true is None else {"p_true": judged.p_true}
        # What was measured before was measured on another answer.
        given = {
            name: each
            for name, each in self.facts.items()
            if name in KNOWN_FACTS and not KNOWN_FACTS[name].measured
        }
        return figure(choice, solved, own, calibrated.applied({**given, **own}))

    def judged(self, found: _Found, local: LocalRecord, way: Route) -> Tried:
        """Return whether the answer is good enough to be given."""
        solved, sure = found.solved, found.figure
        text = without_thoughts(visible(plain(solved.text)))[:MOST_ANSWER_CHARS]
        masked = self.house.masker.mask(text, self.case.marks)
        passed, why = self._verdict(solved, sure, masked)
        local = replace(
            local,
            kind=found.kind,
            score=_finite(solved.score),
            passed=passed,
            reason=f"{why}; {way.reason}",
            answer=masked if passed and self.house.stores_texts else None,
        )
        confidence = sure.value if sure.calibrated else None
        return Tried(
            local=local, answer=masked if passed else None, confidence=confidence
        )

    def _verdict(self, solved: Solved, sure: Figure, text: str) -> tuple[bool, str]:
        if not text:
            return False, "its answer is empty"
        if any(solved.text.endswith(each) for each in self.meter.cut if each):
            return False, "its answer broke off at its limit of tokens"
        passed, why = False, sure.said
        if solved.checked is not None:
            passed = solved.checked.passed
            did = "passed" if passed else "did not pass"
            why = f"it {did} the check {self.case.question.check}"
        elif self.wanted.bar is None:
            why = "no check judged it, and there is no bar"
        elif sure.value is not None:
            passed = sure.value >= self.wanted.bar
            why = f"{why}, {'at least' if passed else 'below'} {self.wanted.bar:g}"
        return passed, f"{solved.strategy}: {why}"


def _finite(score: float | None) -> float | None:
    return score if score is not None and score - score == 0 else None


def give(
    house: House,
    case: Case,
    decision: Decision,
    row: QuestionRecord,
    found: Tried,
    *,
    recent: Remembered,
) -> Reply:
    """
    Put an answer of the local system on record, and return the reply with it.

    Args:
        house: Where it is kept.
        case: The question.
        decision: What the policy says of it.
        row: The question as it goes on record.
        found: The answer.
        recent: Keeps it where the ledger keeps no texts.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    reply = replies.given_locally(
        case, decision, found.local, found.answer or "", confidence=found.confidence
    )
    row = replace(row, status=reply.status, reason=reply.reason)
    house.ledger.record(row, new_marks=case.marks.new)
    if not house.stores_texts:
        recent.add(case.id, found.answer or "")
        recent.add(case.key, case.id)
    return reply


def serves(case: Case, same: Answered) -> bool:
    """Return whether an earlier answer of the local system is given again."""
    past = case.past
    asked_for = past.approval == "question"
    return same.local_name is not None and not (past.local_in_vain or asked_for)


def foreseen(house: House, case: Case, decision: Decision, known: Facts) -> str | None:
    """Return what the local system would do first, as one sentence; None for nothing."""
    wanted = house.policy.local_first
    if wanted is None or decision.action != "escalate":
        return None
    reason = why_not(house, case, decision, known)
    if reason is not None:
        return f"is not tried: {reason}"
    job = _Job(
        house=house,
        case=case,
        wanted=wanted,
        facts=known,
        meter=Meter(max_tokens=0, max_seconds=0, clock_s=house.clock_s),
    )
    try:
        way = job.way(job.turns())
    except AskExpertError as error:
        return f"is not tried: {error}"
    if way.local is None:
        return f"is not tried: {way.reason}"
    passes = [] if check_of(house, case) is None else [f"passes {case.question.check}"]
    passes += [] if wanted.bar is None else [f"reaches {wanted.bar:g}"]
    given = " or ".join(passes) or "… nothing can vouch for it"
    return (
        f"{wanted.choice.label} by {way.local.label} ({way.reason}), at most"
        f" {wanted.max_tokens:,} local tokens and {wanted.max_seconds:g} s; its answer"
        f" is given if it {given}, at no cost"
    )
