"""
Ask every configured provider one short question, for ten US cents in all.

`make test-live` runs it; nothing else does. The experts are the user's own: those of
the settings, else the flagships whose key variable is set. They are asked on the
product's own road, with a ledger in a temporary home and a policy whose budget is the
whole sum, so that the last ones are refused when the first were dear.
"""

import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import yaml

from ask_expert import house as houses
from ask_expert import settings_file
from ask_expert.errors import AskExpertError, ConfigError
from ask_expert.escalation import Escalator
from ask_expert.experts import keys
from ask_expert.experts.found import experts_from_environment
from ask_expert.home import home_folder
from ask_expert.money import nusd, show
from ask_expert.question import Caller, Question
from ask_expert.reply import Reply
from ask_expert.settings import ExpertSettings

MOST_USD = Decimal("0.10")
QUESTION = "What is 17 + 25? Answer with the number alone."

_MOST_OUTPUT = 1024
_MOST_TRIES = 2
_TIMEOUT_S = 120.0
_SUBSCRIPTION = "subscription"
_TOLERANCE = Decimal("0.01")
_COLUMNS = (
    "state, usage_source, reserved_nusd, cost_nusd, reported_cost_nusd, sent_us, "
    "first_token_us, price_source, price_detail, "
    "asked_model, served_model, request_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one expert: `PASS`, `FAIL` or `SKIPPED`, and a line about it."""

    expert: str
    verdict: str
    text: str

    @property
    def line(self) -> str:
        """The result as it is printed."""
        return f"{self.verdict:<7} {self.expert}: {self.text}"


def configured(environ: Mapping[str, str]) -> tuple[ExpertSettings, ...]:
    """
    Return the user's experts.

    Raises:
        ConfigError: The settings are wrong.
    """
    settings = settings_file.load(home_folder(environ))
    return settings.experts or experts_from_environment(environ)


def run(
    experts: tuple[ExpertSettings, ...], environ: Mapping[str, str]
) -> list[Result]:
    """Ask the experts one after the other, within one budget."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="ask-expert-live-") as place:
        home = Path(place)
        for expert in experts:
            try:
                keys.key_for(expert, environ)
            except ConfigError as error:
                skipped = Result(expert=expert.name, verdict="SKIPPED", text=str(error))
                results.append(skipped)
                continue
            results.append(_tried(home, expert, environ, calls=2 * len(experts)))
            print(results[-1].line, flush=True)
        for result in results:
            if result.verdict == "SKIPPED":
                print(result.line)
        if any(result.verdict != "SKIPPED" for result in results):
            spent = _spent(home)
            print(f"spent {show(spent)} of {show(nusd(MOST_USD))}", flush=True)
    return results


def _tried(
    home: Path, expert: ExpertSettings, environ: Mapping[str, str], *, calls: int
) -> Result:
    try:
        reply = _asked(home, expert, environ, calls=calls)
    except AskExpertError as error:
        return Result(expert=expert.name, verdict="FAIL", text=str(error))
    tries = _tries(home, expert.name)
    if reply.status != "answered" or not tries:
        asked = "" if tries else "not asked: "
        text = f"{asked}{reply.status}: {reply.reason}"
        return Result(expert=expert.name, verdict="FAIL", text=text)
    flaws = _flaws(tries[-1])
    return Result(
        expert=expert.name,
        verdict="FAIL" if flaws else "PASS",
        text="; ".join([*flaws, _told(tries[-1])]),
    )


def _asked(
    home: Path, expert: ExpertSettings, environ: Mapping[str, str], *, calls: int
) -> Reply:
    """Ask one expert; the ledger, and with it the budget, is the one of all."""
    policy = home / "policy.yaml"
    budget = {"scope": "total", "usd": str(MOST_USD), "calls": calls}
    rules = {"name": "test-live", "rules": [{"when": "always"}], "budgets": [budget]}
    policy.write_text(yaml.safe_dump(rules), encoding="utf-8")
    modest = expert.model_copy(
        update={
            "max_output_tokens": min(expert.max_output_tokens, _MOST_OUTPUT),
            "max_tries": min(expert.max_tries, _MOST_TRIES),
            "timeout_s": min(expert.timeout_s, _TIMEOUT_S),
        }
    )
    # As flags they go before whatever the user's own variables say.
    flags: dict[str, object] = {
        "experts": [modest.model_dump(exclude_unset=True)],
        "policy": str(policy),
        "ledger": str(home / "ledger.db"),
        "reuse_within_s": 0,
        "answer_within_s": 3600,
    }
    house = houses.build(home, flags=flags, environ=environ)
    return anyio.run(_answered, house, _question(expert))


def _question(expert: ExpertSettings) -> Question:
    caller = Caller(session=f"live-{expert.name}", project=str(Path.cwd()), user="live")
    return Question(text=QUESTION, caller=caller, task=expert.name)


async def _answered(house: houses.House, question: Question) -> Reply:
    outcome: Reply | AskExpertError
    async with Escalator(house).open() as escalator:
        # Raised inside the block, an error would come out in a group.
        try:
            outcome = await escalator.ask(question)
        except AskExpertError as error:
            outcome = error
    if isinstance(outcome, AskExpertError):
        raise outcome
    return outcome


def _tries(home: Path, expert: str) -> list[dict[str, Any]]:
    query = f"SELECT {_COLUMNS} FROM tries JOIN escalations ON escalations.id = "  # noqa: S608  # our own words
    query += "tries.escalation_id WHERE escalations.expert = ? ORDER BY sent_us"
    with closing(sqlite3.connect(home / "ledger.db")) as ledger:
        ledger.row_factory = sqlite3.Row
        return [dict(row) for row in ledger.execute(query, (expert,))]


def _spent(home: Path) -> int:
    """Return what was spent and what may have been, in nano-dollars."""
    if not (home / "ledger.db").exists():
        return 0  # no expert's settings could be used
    query = "SELECT sum(coalesce(cost_nusd, reserved_nusd)) FROM tries WHERE state != 'released'"
    with closing(sqlite3.connect(home / "ledger.db")) as ledger:
        return int(ledger.execute(query).fetchone()[0] or 0)


def _flaws(row: Mapping[str, Any]) -> list[str]:
    flaws: list[str] = []
    if row["state"] != "settled":
        flaws.append(f"its try is {row['state']}")
    if row["price_source"] == _SUBSCRIPTION:
        return flaws  # a vendor's program tells neither tokens nor who served
    if row["usage_source"] != "provider":
        flaws.append(f"its usage is {row['usage_source']}, not the provider's")
    if (row["cost_nusd"] or 0) > row["reserved_nusd"]:
        flaws.append("it cost more than was reserved")
    if not row["served_model"]:
        flaws.append("it does not say which model served")
    ours, theirs = Decimal(_ours(row)), row["reported_cost_nusd"]
    if theirs is not None and abs(ours - theirs) > _TOLERANCE * max(ours, theirs):
        flaws.append("its own figure differs by more than 1 %")
    return flaws


def _ours(row: Mapping[str, Any]) -> int:
    """Return what our own prices make of it, where the provider's figure is booked."""
    detail = json.loads(row["price_detail"] or "{}")
    return int(detail.get("computed_nusd", row["cost_nusd"] or 0))


def _told(row: Mapping[str, Any]) -> str:
    first = row["first_token_us"]
    facts = (
        f"asked {row['asked_model']}, served {row['served_model'] or 'not told'}",
        f"cost {_cost(row)}",
        f"first token {'not streamed' if first is None else f'{first / 1000:.0f} ms'}",
        f"request {row['request_id'] or 'unnamed'}",
    )
    return "; ".join(facts)


def _cost(row: Mapping[str, Any]) -> str:
    if row["price_source"] == _SUBSCRIPTION:
        return "paid by a subscription"
    reported = row["reported_cost_nusd"]
    theirs = "no figure" if reported is None else show(reported)
    booked = f"booked {show(row['cost_nusd'] or 0)} ({row['price_source']})"
    return f"{show(_ours(row))} by us, {theirs} by the provider, {booked}"


def main() -> int:
    """Ask, print a line an expert, and return 1 if one of them failed."""
    try:
        experts = configured(os.environ)
    except ConfigError as error:
        print(f"FAIL    settings: {error}")
        return 1
    results = run(experts, os.environ)
    if all(result.verdict == "SKIPPED" for result in results):
        print("SKIPPED: no key, so no provider was asked")
    return int(any(result.verdict == "FAIL" for result in results))


if __name__ == "__main__":
    sys.exit(main())
