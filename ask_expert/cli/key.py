"""`ask-expert key`: keep an expert's key in the system keyring."""

import os
import sys

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, folder

app = typer.Typer(help="Keys of experts.", no_args_is_help=True)


@app.command("set")
def set_(expert: str, home: Home = None) -> None:
    """Keep an expert's key in the system keyring; it is asked for, or piped in."""
    from ask_expert.report import experts

    known = experts.configured(folder(home), os.environ)
    experts.named(expert, known)
    if sys.stdin.isatty():
        key = str(typer.prompt(f"Key of {expert}", hide_input=True, err=True))
    else:
        key = sys.stdin.read()
    output.say(f"The key of {expert} is kept in {experts.keep(expert, key.strip())}.")


@app.command()
def status(home: Home = None) -> None:
    """Show for every expert where its key comes from; never the key."""
    from ask_expert.house import NO_EXPERT
    from ask_expert.report import experts

    known = experts.configured(folder(home), os.environ)
    states = [experts.key_state(each, os.environ) for each in known]
    output.table([(each.expert, each.where, each.sentence) for each in states])
    if not states:
        output.say(NO_EXPERT)
    if not all(each.ready for each in states):
        raise typer.Exit(1)
