"""`ask-expert token`: who may use the team's server."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Handle, Home, Json, as_utf8, folder
from ask_expert.home import user_name

if TYPE_CHECKING:
    from ask_expert.access import BudgetLine
    from ask_expert.policy.document import Policy
    from ask_expert.report.desk import Desk

app = typer.Typer(help="Tokens of the team's server.", no_args_is_help=True)

_NAME = re.compile(r"[\w.@+-]{1,60}")
_LONGEST = 200


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise typer.BadParameter(
            "a name has 1 to 60 letters, digits and . _ @ + -, and no blanks"
        )
    return text


def _line(text: str) -> str:
    plain = as_utf8(text).strip()
    if not plain or len(plain) > _LONGEST or not plain.isprintable():
        raise typer.BadParameter(f"give one line of 1 to {_LONGEST} characters")
    return plain


@app.command()
def create(  # noqa: PLR0917  # one parameter an option
    name: Annotated[
        str, typer.Argument(callback=_name, help="One token in use has it.")
    ],
    user: Annotated[str, typer.Option(callback=_line, help="Whose questions it asks.")],
    project: Annotated[
        str, typer.Option(callback=_line, help="The project that they belong to.")
    ],
    role: Annotated[
        Literal["member", "lead", "owner"],
        typer.Option(help="What it may do beside asking."),
    ] = "member",
    policy: Annotated[
        str | None,
        typer.Option(help="Preset name or path; default: the server's own."),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="Also holds, e.g. 5/day or 100calls/hour; repeatable."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="In 24h, 30d, 4w, or on 2026-12-31; default: never."),
    ] = None,
    home: Home = None,
) -> None:
    """Issue a token; it is printed once, to standard output alone."""
    from ask_expert.access import AccessToken, digest, masked_trouble, new_secret
    from ask_expert.budget import to_us
    from ask_expert.ledger import access_tokens
    from ask_expert.ledger.records import new_id
    from ask_expert.redaction import Masker
    from ask_expert.report import desk, tokens

    now = datetime.now(UTC)
    at_us = to_us(now)
    budgets = _budgets(budget or ())
    ends_us = _ends_us(expires, now)
    with desk.opened(folder(home), os.environ) as open_desk:
        token = AccessToken(
            id=new_id("k"),
            name=name,
            user=user,
            project=project,
            role=role,
            policy=_policy(policy, open_desk, home=folder(home)),
            budgets=budgets,
            created_us=at_us,
            by=user_name(),
            expires_us=ends_us,
        )
        masker = open_desk.house.masker if open_desk.house else Masker()
        trouble = masked_trouble(token, masker.scrub)
        if trouble is not None:
            raise typer.BadParameter(trouble)
        secret = new_secret()
        access_tokens.add(
            open_desk.ledger, token, digest=digest(secret), at_us=at_us, by=token.by
        )
    output.say(secret)
    cells = zip(tokens.HEAD, tokens.cells(token, at_us), strict=True)
    output.complain(", ".join(f"{head} {cell}" for head, cell in cells if cell) + ".")
    output.complain("The token is shown this once: whoever has it can ask with it.")


@app.command("list")
def list_(json: Json = False, home: Home = None) -> None:
    """List all tokens, oldest first, also those that ended."""
    from ask_expert.budget import to_us
    from ask_expert.ledger import access_tokens
    from ask_expert.report import desk, tokens

    now_us = to_us(datetime.now(UTC))
    with desk.opened(folder(home), os.environ) as open_desk:
        found = access_tokens.every(open_desk.ledger)
    if json:
        output.as_json([tokens.as_json(each, now_us) for each in found])
    elif found:
        output.table([tokens.cells(each, now_us) for each in found], head=tokens.HEAD)
    else:
        output.say("No token was issued yet.")


@app.command()
def show(name: Handle, json: Json = False, home: Home = None) -> None:
    """Show one token: the one in use of that name, else the last one; never its secret."""
    from ask_expert.budget import to_us
    from ask_expert.report import desk, tokens

    now_us = to_us(datetime.now(UTC))
    with desk.opened(folder(home), os.environ) as open_desk:
        found = tokens.named(open_desk.ledger, name)
    if json:
        output.as_json(tokens.as_json(found, now_us))
    else:
        output.outline(tokens.for_people(found, now_us))


@app.command()
def revoke(name: Handle, home: Home = None) -> None:
    """End a token for good; its name is free again."""
    from ask_expert.budget import to_us
    from ask_expert.report import desk, tokens

    now_us = to_us(datetime.now(UTC))
    with desk.opened(folder(home), os.environ) as open_desk:
        said = tokens.revoke(open_desk.ledger, name, now_us=now_us, by=user_name())
    output.say(said)


def _budgets(given: list[str] | tuple[str, ...]) -> "tuple[BudgetLine, ...]":
    from ask_expert.policy import budget_text

    try:
        found = [budget_text.of_one_session(budget_text.parse(each)) for each in given]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--budget") from error
    return tuple(budget_text.as_json(each) for each in found)


def _ends_us(expires: str | None, now: datetime) -> int | None:
    from ask_expert.budget import to_us
    from ask_expert.report import since

    try:
        return to_us(since.ahead(expires, now)) if expires else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from error


def _policy(name: str | None, desk: "Desk", *, home: Path) -> str | None:
    """Return the policy that a token is under, which must be right; a path whole."""
    from ask_expert.policy import presets

    if name is None:
        return None
    named = str(Path(name).absolute()) if Path(name).is_file() else name
    policy: Policy = presets.load(named, home=home)
    if desk.house is not None:
        for expert in policy.ladder or ():
            desk.house.settings.expert(expert)
    return named
