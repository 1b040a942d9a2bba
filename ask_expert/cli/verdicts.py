"""What a person says: that an answer helped, that a question may be asked."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import cast

import anyio

from ask_expert import house as houses
from ask_expert.errors import InvalidQuestionError
from ask_expert.escalation import Escalator
from ask_expert.home import user_name
from ask_expert.ledger.records import Answered, ApprovalScope
from ask_expert.ledger.store import FINAL_AFTER_US, Ledger
from ask_expert.reply import Verdict

_SAID: dict[ApprovalScope, str] = {
    "question": (
        "is approved. Tell the agent to ask the same question again: then an expert is "
        "asked, as far as the budgets allow."
    ),
    "task": (
        "is approved, and so are all later questions of its task. Tell the agent to ask "
        "the same question again: then an expert is asked, as far as the budgets allow."
    ),
    "denied": "is denied: the same question is refused from now on.",
}
_SOLVED = {"helped": True, "harmed": False, "no_difference": None}


def record(
    home: Path,
    environ: Mapping[str, str],
    question_id: str,
    word: str,
    *,
    note: str | None,
) -> str:
    """
    Put a person's verdict on record; return what was done, as one sentence.

    Raises:
        InvalidQuestionError: There is no such question.
    """
    house = houses.build(home, environ=environ, on_record=False)
    verdict = cast("Verdict", word.replace("-", "_"))

    async def report() -> None:
        await Escalator(house).report_outcome(
            question_id,
            caller=None,
            solved=_SOLVED[verdict],
            evidence=note,
            verdict=verdict,
            source="person",
        )

    with closing(house.ledger) as ledger:
        standing = _standing(ledger, question_id)
        anyio.run(report)
    late = house.now_us() - standing.created_us > FINAL_AFTER_US
    flag = (
        " It came more than 24 h later: a verdict that was given in time stays."
        if late
        else ""
    )
    return f"{question_id}: {word} is on record.{flag}"


def approve(
    home: Path,
    environ: Mapping[str, str],
    question_id: str,
    *,
    scope: ApprovalScope = "question",
) -> str:
    """
    Put on record what a person says to a question; return what happens next.

    Raises:
        InvalidQuestionError: There is no such question, or it waits for nobody.
    """
    house = houses.build(home, environ=environ, on_record=False)

    async def say() -> None:
        await Escalator(house).approve(
            question_id, scope=scope, by=user_name(), caller=None
        )

    with closing(house.ledger) as ledger:
        standing = _standing(ledger, question_id)
        if standing.status != "needs_approval":
            raise InvalidQuestionError(
                f"{question_id} waits for nobody: its status is {standing.status!r}."
            )
        if house.settings.storage == "none" and scope != "task":
            raise InvalidQuestionError(
                "With `storage: none` nothing tells that the same question comes again, "
                "so this cannot work; set `storage: hash` or more, or use --for-task."
            )
        anyio.run(say)
    return f"{question_id} {_SAID[scope]}"


def _standing(ledger: Ledger, question_id: str) -> Answered:
    standing = ledger.standing(question_id, None)
    if standing is None:
        raise InvalidQuestionError(
            f"There is no question {question_id[:80]!r}; "
            "`ask-expert ledger list` shows the latest."
        )
    return standing
