"""`ask-expert report`: how often an expert was asked, what it cost, what came of it."""

import os
from datetime import UTC, datetime

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, Since, folder, since_us


def report(since: Since = None, json: Json = False, home: Home = None) -> None:
    """Show what was asked, what it cost, what it gained."""
    from ask_expert.budget import to_us
    from ask_expert.report import desk, json_form, terminal
    from ask_expert.report.summary import summarize

    now = datetime.now(UTC)
    first_us = since_us(since, now)
    with desk.opened(folder(home), os.environ) as open_desk:
        house = open_desk.house
        if open_desk.trouble:
            output.complain(f"Budgets are not shown: {open_desk.trouble}")
        summary = summarize(
            open_desk.ledger,
            since_us=first_us,
            until_us=to_us(now),
            rooms=desk.rooms_now(house, now) if house else None,
            **({"zone": house.zone} if house else {}),
        )
    if json:
        output.as_json(json_form.as_json(summary))
        return
    for heading, rows in terminal.blocks(summary):
        output.title(heading)
        output.table(rows)
        output.say()
