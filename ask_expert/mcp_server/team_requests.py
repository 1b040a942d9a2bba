"""What a team's JSON API takes, checked at the border."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from ask_expert.access import AccessToken, BudgetLine, Role, said_by
from ask_expert.budget import to_us
from ask_expert.ledger.records import ApprovalScope, new_id
from ask_expert.policy import budget_text
from ask_expert.policy.budgets import Budget
from ask_expert.report import since

_NAME = re.compile(r"[\w.@+-]{1,60}")
_LONGEST = 200


@dataclass(slots=True, eq=False)
class Problem(Exception):  # noqa: N818  # no bug: a reply that is no success
    """
    Why something is not done.

    Attributes:
        status: The HTTP status.
        error: A short code.
        description: One sentence for people.
    """

    status: int
    error: str
    description: str


def is_name(text: str) -> bool:
    """Return whether a token may be called so."""
    return _NAME.fullmatch(text) is not None


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("has 1 to 60 letters, digits and . _ @ + -, and no blanks")
    return text


def _line(text: str) -> str:
    plain = text.strip()
    if not plain or len(plain) > _LONGEST or not plain.isprintable():
        raise ValueError(f"is one line of 1 to {_LONGEST} characters")
    return plain


def _file_name(text: str) -> str:
    if "/" in text or "\\" in text:
        raise ValueError("is a preset's name, or a file's name in the server's home")
    return text


def _budget(given: object) -> object:
    return budget_text.parse(given) if isinstance(given, str) else given


_Line = Annotated[str, AfterValidator(_line)]
_Budget = Annotated[Budget, BeforeValidator(_budget)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


Form = TypeVar("Form", bound=_Asked)


class Word(_Asked):
    """
    What a person says to a question.

    Attributes:
        question_id: The question.
        scope: As `Escalator.approve` takes it.
    """

    question_id: _Line
    scope: ApprovalScope = "question"


class NewToken(_Asked):
    """
    A token to be issued; what is absent is that of the token that issues it.

    Attributes:
        name: One token in use has it.
        user: Whose questions it asks.
        project: The project that they belong to.
        role: What it may do beside asking.
        policy: Preset or file in the server's home; null is the server's own.
        budgets: As text, `5/day`, or as a policy has them.
        expires: In `24h` or `30d`, or on a date; null is never.
    """

    name: Annotated[str, AfterValidator(_name)]
    user: _Line
    project: _Line | None = None
    role: Role = "member"
    policy: Annotated[_Line, AfterValidator(_file_name)] | None = None
    budgets: Annotated[list[_Budget], Field(max_length=50)] | None = None
    expires: Annotated[str, Field(max_length=_LONGEST)] | None = None

    def made(self, by: AccessToken, now: datetime) -> AccessToken:
        """
        Return the token, as another one issues it.

        Raises:
            Problem: A budget or the expiry cannot be used.
        """
        given = self.model_fields_set
        try:
            budgets = by.budgets if self.budgets is None else _lines(self.budgets)
            ends_us = by.expires_us
            if "expires" in given:
                ends_us = (
                    to_us(since.ahead(self.expires, now)) if self.expires else None
                )
        except ValueError as error:
            raise Problem(400, "invalid_request", f"{error}.") from error
        return AccessToken(
            id=new_id("k"),
            name=self.name,
            user=self.user,
            project=self.project or by.project,
            role=self.role,
            policy=self.policy if "policy" in given else by.policy,
            budgets=budgets,
            created_us=to_us(now),
            by=said_by(by),
            expires_us=ends_us,
        )


def _lines(given: Sequence[Budget]) -> tuple[BudgetLine, ...]:
    return tuple(
        budget_text.as_json(budget_text.of_one_session(each)) for each in given
    )


def read(form: type[Form], given: Any) -> Form:
    """
    Return what came, as the form wants it.

    Raises:
        Problem: It does not fit; values that came are not repeated.
    """
    try:
        return form.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        why = first["msg"].removeprefix("Value error, ")
        raise Problem(400, "invalid_request", f"{where}: {why}.") from error


Window = Literal["day", "week", "month"]
WINDOWS: tuple[Window, ...] = ("day", "week", "month")
"""The calendar windows that usage is shown for."""
