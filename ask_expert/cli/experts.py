"""`ask-expert experts`: who can be asked, and whether they are still who they were."""

import os
from datetime import UTC, datetime

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, Since, folder, since_us

app = typer.Typer(help="See who can be asked, and who answers.", no_args_is_help=True)


@app.command("list")
def list_(json: Json = False, home: Home = None) -> None:
    """List the experts with model, endpoint, price source and key; and who rests."""
    from ask_expert.house import NO_EXPERT
    from ask_expert.report import desk, experts

    now = datetime.now(UTC)
    known = experts.configured(folder(home), os.environ)
    rests: dict[str, str] = {}
    if known and folder(home).exists():
        with desk.opened(folder(home), os.environ) as open_desk:
            rests = experts.resting(open_desk.ledger, now)
    lines = [
        experts.line(each, os.environ, now, rests.get(each.name)) for each in known
    ]
    if json:
        output.as_json([line.as_json() for line in lines])
    elif lines:
        output.table([line.cells() for line in lines], head=experts.HEAD)
    else:
        output.say(NO_EXPERT)


@app.command()
def drift(since: Since = None, json: Json = False, home: Home = None) -> None:
    """Show which models really answered, and where that changed."""
    from ask_expert.report import desk
    from ask_expert.report import drift as drifts

    first_us = since_us(since, datetime.now(UTC))
    with desk.opened(folder(home), os.environ) as open_desk:
        rows = drifts.sightings(open_desk.ledger, first_us)
    findings = drifts.drift(rows)
    if json:
        output.as_json([drifts.as_json(each) for each in findings])
        return
    for each in findings:
        output.title(f"{each.expert}: asked {each.asked}")
        output.table(drifts.cells(each), head=drifts.HEAD)
        for sentence in drifts.sentences(each) or ["no drift"]:
            output.say(sentence)
        output.say()
    output.say(drifts.verdict(findings))
