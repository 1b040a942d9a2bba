"""`ask-expert outcome`: a person's verdict on an expert's answer."""

import os
from typing import Annotated, Literal

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Handle, Home, folder


def outcome(
    question_id: Handle,
    verdict: Literal["helped", "no-difference", "harmed"],
    note: Annotated[str | None, typer.Option(help="What it rests on.")] = None,
    home: Home = None,
) -> None:
    """Put on record whether an answer helped."""
    from ask_expert.cli import verdicts

    output.say(
        verdicts.record(folder(home), os.environ, question_id, verdict, note=note)
    )


def approve(
    question_id: Handle,
    for_task: Annotated[
        bool, typer.Option("--for-task", help="Approve its whole task.")
    ] = False,
    deny: Annotated[bool, typer.Option("--deny", help="Refuse it.")] = False,
    home: Home = None,
) -> None:
    """Approve a question that waits for a person, or deny it."""
    from ask_expert.cli import verdicts

    if for_task and deny:
        raise typer.BadParameter("cannot go with --for-task", param_hint="--deny")
    scope = "denied" if deny else "task" if for_task else "question"
    output.say(verdicts.approve(folder(home), os.environ, question_id, scope=scope))
