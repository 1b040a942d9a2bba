"""
The ledger of a chaos run held against the provider's own record of it.

It shares no code with the ledger: sums, matches and prices are worked anew.
"""

import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.weather import Met
from tests.fakes.ids import hexadecimal, letters

NANO_PER_TOKEN = {"input": 2_000, "cache_read": 500, "output": 10_000}
"""The experts' price: $2, $0.50 and $10 per million tokens."""

_QUESTION = re.compile(r"Question (\d+):")
_ENDS = {"settled": "settle", "released": "release"}

Replies = Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as the provider has it; `billed` is None where it bills nothing."""

    number: int
    question: int
    path: str
    streamed: bool
    met: Met
    billed: int | None

    @property
    def request_id(self) -> str:
        """The id that its reply carries, if that has headers of the vendor's."""
        if self.path.endswith("/messages"):
            return f"req_01{letters(self.number, 22)}"
        return f"req_{hexadecimal(self.number, 32)}"

    @property
    def failed(self) -> bool:
        """Whether its fault befell it."""
        return not self.met.spares(streamed=self.streamed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Something that has to hold: how often it was looked at, and where it does not."""

    name: str
    checked: int
    wrong: list[str]


@dataclass(slots=True, kw_only=True)
class Books:
    """
    Everything on record of one run, on both sides.

    Attributes:
        requests: The provider's.
        tries: The ledger's, with their question's number, task and answer, in order.
        movements: The ledger's, in order of commit.
        windows: The ledger's running sums.
        budgets: The policy's.
        replies: What the agents were told, by question.
        pairs: Each request with its try.
        stray: Tries that reached no provider, and requests that no try knows.
    """

    requests: list[Asked]
    tries: list[dict[str, Any]]
    movements: list[dict[str, Any]]
    windows: list[dict[str, Any]]
    budgets: list[dict[str, Any]]
    replies: Replies
    statuses: Counter[str]
    pairs: list[tuple[Asked, dict[str, Any]]] = field(
        default_factory=list[tuple[Asked, dict[str, Any]]]
    )
    stray: list[str] = field(default_factory=list[str])

    def proofs(self) -> list[Proof]:
        """Return all that has to hold."""
        caps = "at no commit is spent + reserved above a cap, nor are calls"
        return [
            _proof("every try has exactly one final state", self._final()),
            _proof("a request has one try, by order and by its id", self._matched()),
            _proof("one reserve a try, and one end at most", self._moved()),
            _proof("settled with full usage = the bill, to the nUSD", self._exact()),
            _proof("settled in part or by estimate >= the bill", self._estimated()),
            _proof("unresolved: counted >= the bill", self._unresolved()),
            _proof("released: billed nothing", self._released()),
            _proof("a window's running sums = the sums of its tries", self._sums()),
            _proof(caps, self._capped()),
            _proof("no answer that came whole is lost", self._kept()),
            _proof("what came in part of an answer is kept", self._kept_in_part()),
            _proof("a reply holds its own advice and its own cost", self._told()),
            _proof("no redirect was followed", self._stayed()),
        ]

    def settled_nusd(self) -> int:
        """Return what the ledger says was spent."""
        return sum(row["cost_nusd"] or 0 for row in self.tries)

    def counted_nusd(self) -> int:
        """Return what stays counted of tries of unknown fate."""
        return sum(
            row["reserved_nusd"] for row in self.tries if row["state"] == "unresolved"
        )

    def billed_nusd(self) -> int:
        """Return what the provider bills."""
        return sum(each.billed or 0 for each in self.requests)

    def _final(self) -> Iterator[str | None]:
        final = {"settled", "released", "unresolved"}
        for row in self.tries:
            yield None if row["state"] in final else f"{row['id']} is {row['state']}"

    def _matched(self) -> Iterator[str | None]:
        yield from self.stray
        for asked, row in self.pairs:
            known = row["request_id"]
            right = known is None or known == asked.request_id
            yield None if right else f"{row['id']} has {known}, not {asked.request_id}"

    def _moved(self) -> Iterator[str | None]:
        kinds: dict[str, list[str]] = defaultdict(list)
        for movement in self.movements:
            kinds[movement["try_id"]].append(movement["kind"])
        for row in self.tries:
            end = _ENDS.get(row["state"])
            wanted = ["reserve", end] if end else ["reserve"]
            found = kinds.pop(row["id"], [])
            yield None if found == wanted else f"{row['id']}: {found}"
        yield from (f"{each} is no try" for each in kinds)

    def _exact(self) -> Iterator[str | None]:
        for asked, row in self._in("settled"):
            if row["usage_source"] == "provider":
                right = row["cost_nusd"] == asked.billed
                yield None if right else _money(row, row["cost_nusd"], asked)

    def _estimated(self) -> Iterator[str | None]:
        for asked, row in self._in("settled"):
            if row["usage_source"] != "provider":
                right = (asked.billed or 0) <= row["cost_nusd"] <= row["reserved_nusd"]
                yield None if right else _money(row, row["cost_nusd"], asked)

    def _unresolved(self) -> Iterator[str | None]:
        for asked, row in self._in("unresolved"):
            right = row["reserved_nusd"] >= (asked.billed or 0)
            yield None if right else _money(row, row["reserved_nusd"], asked)

    def _released(self) -> Iterator[str | None]:
        for asked, row in self._in("released"):
            yield None if asked.billed is None else _money(row, 0, asked)

    def _in(self, state: str) -> Iterator[tuple[Asked, dict[str, Any]]]:
        return ((asked, row) for asked, row in self.pairs if row["state"] == state)

    def _sums(self) -> Iterator[str | None]:
        for window in self.windows:
            found = [row for row in self.tries if _falls_into(row, window)]
            held = [row for row in found if row["state"] in {"sent", "unresolved"}]
            sums = {
                "spent_nusd": sum(row["cost_nusd"] or 0 for row in found),
                "reserved_nusd": sum(row["reserved_nusd"] for row in held),
                "calls": sum(row["state"] != "released" for row in found),
            }
            for name, total in sums.items():
                right = window[name] == total
                yield None if right else f"{window['scope']} {name}: {total}"

    def _capped(self) -> Iterator[str | None]:
        """Replay the movements and look at every cap after each."""
        by_id = {row["id"]: row for row in self.tries}
        caps = {each["scope"]: each for each in self.budgets}
        money: Counter[int] = Counter()
        calls: Counter[int] = Counter()
        for movement in self.movements:
            row, kind = by_id[movement["try_id"]], movement["kind"]
            over = kind == "reserve" and movement["nusd"] > _nusd(caps["call"])
            yield f"call: {movement['nusd']}" if over else None
            for window in self.windows:
                if not _falls_into(row, window):
                    continue
                number, cap = window["id"], caps[window["scope"]]
                money[number] += movement["nusd"] if kind != "release" else 0
                if kind != "reserve":
                    money[number] -= row["reserved_nusd"]
                calls[number] += {"reserve": 1, "settle": 0, "release": -1}[kind]
                above = money[number] > _nusd(cap)
                above |= calls[number] > cap.get("calls", calls[number])
                where = f"{window['scope']} at movement {movement['id']}"
                yield f"{where}: {money[number]}" if above else None

    def _kept(self) -> Iterator[str | None]:
        for asked, row in self.pairs:
            if asked.met.text_is_whole(streamed=asked.streamed):
                right = asked.met.behaviour.text in (row["answer"] or "")
                what = f"request {asked.number} ({asked.met.name}, {row['state']})"
                yield None if right else what

    def _kept_in_part(self) -> Iterator[str | None]:
        for asked, row in self.pairs:
            if row["finish"] == "partial":
                kept = (row["answer"] or "").strip()
                right = bool(kept) and asked.met.behaviour.text.startswith(kept)
                yield None if right else f"request {asked.number}: {kept!r}"

    def _told(self) -> Iterator[str | None]:
        paid: Counter[int] = Counter()
        own: dict[int, list[str]] = defaultdict(list)
        for row in self.tries:
            paid[row["question"]] += row["cost_nusd"] or 0
        for asked in self.requests:
            own[asked.question].append(f"Advice {asked.number}:")
        for number, reply in self.replies.items():
            if reply["status"] != "answered":
                continue
            says = any(each in reply["answer"] for each in own[number])
            right = says and round(reply["cost_usd"] * 1e9) == paid[number]
            yield None if right else f"question {number}: {reply}"

    def _stayed(self) -> Iterator[str | None]:
        for asked in self.requests:
            right = not asked.path.endswith("/away")
            yield None if right else f"request {asked.number}"


def open_books(
    ledger: Path,
    state: Mapping[str, Any],
    drawn: list[Met],
    *,
    budgets: list[dict[str, Any]],
    replies: Replies,
) -> Books:
    """
    Read both sides and match them.

    Args:
        ledger: The SQLite file.
        state: The provider's requests and bill.
        drawn: What each request met.
        budgets: The policy's.
        replies: What the agents were told, by question.
    """
    billed = {each["request"]: _worth(each) for each in state["bill"]}
    requests = [
        _asked(number, each, drawn[number], billed.get(number))
        for number, each in enumerate(state["requests"])
    ]
    connection = sqlite3.connect(ledger)
    connection.row_factory = sqlite3.Row
    tries = _rows(connection, _TRIES)
    statuses = _rows(connection, "SELECT status FROM questions")
    books = Books(
        requests=requests,
        tries=[{**row, "question": _number(row["texts"])} for row in tries],
        movements=_rows(connection, "SELECT * FROM movements ORDER BY id"),
        windows=_rows(connection, "SELECT * FROM windows"),
        budgets=budgets,
        replies=replies,
        statuses=Counter(row["status"] for row in statuses),
    )
    connection.close()
    _match(books)
    return books


# Of the tries of one escalation, the settled one brought its answer.
_TRIES = """
    SELECT tries.*, questions.texts, questions.task,
      iif(tries.state = 'settled', escalations.answer, NULL) AS answer,
      iif(tries.state = 'settled', escalations.finish, NULL) AS finish
    FROM tries JOIN escalations ON escalations.id = tries.escalation_id
      JOIN questions ON questions.id = escalations.question_id
    ORDER BY escalations.position, tries.number
"""


def _match(books: Books) -> None:
    """Pair tries and requests: those of one question come one after the other."""
    tries: dict[int, list[dict[str, Any]]] = defaultdict(list)
    asked: dict[int, list[Asked]] = defaultdict(list)
    for row in books.tries:
        tries[row["question"]].append(row)
    for each in books.requests:
        asked[each.question].append(each)
    for question in tries.keys() | asked.keys():
        mine, theirs = tries[question], asked[question]
        if len(mine) != len(theirs):
            states = [row["state"] for row in mine]
            books.stray.append(
                f"question {question}: {len(theirs)} requests, tries {states}"
            )
        books.pairs.extend(zip(theirs, mine, strict=False))


def _asked(number: int, each: Mapping[str, Any], met: Met, billed: int | None) -> Asked:
    return Asked(
        number=number,
        question=_number(each["body"]),
        path=each["path"],
        streamed=bool(json.loads(each["body"]).get("stream")),
        met=met,
        billed=billed,
    )


def _worth(bill: Mapping[str, int]) -> int:
    """Return one line of the bill at the settings' price, in nano-dollars."""
    return sum(bill[f"{kind}_tokens"] * price for kind, price in NANO_PER_TOKEN.items())


def _number(text: str) -> int:
    found = _QUESTION.search(text)
    assert found is not None, text
    return int(found.group(1))


def _falls_into(row: Mapping[str, Any], window: Mapping[str, Any]) -> bool:
    task = f"task={row['task']}"
    if window["scope"] == "task" and task not in window["key"].split("\x1f"):
        return False
    return window["start_us"] <= row["sent_us"] < window["end_us"]


def _nusd(budget: Mapping[str, Any]) -> int:
    return round(float(budget["usd"]) * 10**9)


def _rows(connection: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query)]


def _money(row: Mapping[str, Any], counted: int, asked: Asked) -> str:
    return f"{row['id']} ({asked.met.name}): {counted} counted, {asked.billed} billed"


def _proof(name: str, looked: Iterable[str | None]) -> Proof:
    found = list(looked)
    return Proof(name=name, checked=len(found), wrong=[each for each in found if each])
