"""`ask-expert doctor`: what is set up, what is wrong, what to do about it."""

import os
from dataclasses import asdict

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder

_SIGNS = {"ok": "ok", "warning": "note", "wrong": "WRONG"}


def doctor(json: Json = False, home: Home = None) -> None:
    """Look at what is set up; exit status 1 if it is wrong."""
    from ask_expert.report.diagnosis import examine

    items = examine(folder(home), os.environ)
    sound = all(item.state != "wrong" for item in items)
    if json:
        output.as_json({"ok": sound, "items": [asdict(item) for item in items]})
    else:
        output.table([(_SIGNS[each.state], each.name, each.message) for each in items])
    if not sound:
        raise typer.Exit(1)
