"""`ask-expert demo`: two real models on this machine, an agent, a ledger, a report."""

from typing import Annotated

import typer

from ask_expert.cli.options import Home, folder


def demo(
    expert: Annotated[
        bool,
        typer.Option(
            "--expert", help="Ask the real experts that your API keys give access to."
        ),
    ] = False,
    tasks: Annotated[int, typer.Option(min=1, help="How many coding tasks.")] = 10,
    home: Home = None,
) -> None:
    """See it all at work on two real models, without a key."""
    from rich.console import Console

    from ask_expert.evaluation.demo import run_demo
    from ask_expert.evaluation.tasks import coding_tasks

    known = len(coding_tasks())
    if tasks > known:
        raise typer.BadParameter(f"there are {known} tasks", param_hint="--tasks")
    place = folder(None) / "demo" if home is None else folder(home)
    console = Console()
    status = run_demo(home=place, use_real_expert=expert, tasks=tasks, console=console)
    raise typer.Exit(status)
