"""Tokens are looked up by their digest, and what was found is good for a moment."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ask_expert import house as houses
from ask_expert.access import AccessToken, digest
from ask_expert.errors import LedgerError
from ask_expert.house import House
from ask_expert.ledger import access_tokens
from ask_expert.ledger.store import Ledger
from ask_expert.mcp_server.bearer import CACHE_S, NO_TOKEN, UNKNOWN, Tokens, TurnedAway

pytestmark = pytest.mark.anyio

SECRET = "aes_made-up-for-this-test"
HEADER = f"Bearer {SECRET}"
TOKEN = AccessToken(
    id="k_1",
    name="ada",
    user="ada",
    project="shop",
    role="member",
    created_us=1,
    by="root",
)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Counting(Ledger):
    """A ledger that counts who looks."""

    looks = 0

    @property
    def engine(self):
        self.looks += 1
        return super().engine


def built(home: Path) -> tuple[House, Counting]:
    house = houses.build(home, environ={})
    house.ledger.close()
    ledger = Counting.open(home / "ledger.db")
    house.ledger = ledger
    return house, ledger


async def test_a_token_is_looked_up_once_in_two_seconds(home: Path) -> None:
    house, ledger = built(home)
    clock = Clock()
    with closing(ledger):
        access_tokens.add(ledger, TOKEN, digest=digest(SECRET), at_us=1, by="root")
        tokens = Tokens(house=house, clock_s=clock)
        before = ledger.looks

        found = [await tokens.check(HEADER) for _ in range(3)]
        once = ledger.looks - before
        clock.now_s += CACHE_S
        await tokens.check(HEADER)
        twice = ledger.looks - before

    assert found == [TOKEN] * 3
    assert (once, twice) == (1, 2)


async def test_a_revocation_holds_after_two_seconds(home: Path) -> None:
    house, ledger = built(home)
    clock = Clock()
    with closing(ledger):
        access_tokens.add(ledger, TOKEN, digest=digest(SECRET), at_us=1, by="root")
        tokens = Tokens(house=house, clock_s=clock)
        await tokens.check(HEADER)
        access_tokens.revoke(ledger, "ada", at_us=2, by="root")

        still = await tokens.check(HEADER)
        clock.now_s += CACHE_S
        ended = await tokens.check(HEADER)

    assert still == TOKEN
    assert isinstance(ended, TurnedAway)
    assert "was revoked" in ended.description


async def test_an_expiry_holds_at_once_also_for_what_was_just_looked_up(
    home: Path,
) -> None:
    house, ledger = built(home)
    with closing(ledger):
        soon = replace(TOKEN, expires_us=house.now_us() + 1_000_000)
        access_tokens.add(ledger, soon, digest=digest(SECRET), at_us=1, by="root")
        tokens = Tokens(house=house, clock_s=Clock())

        found = await tokens.check(HEADER)
        while isinstance(found, AccessToken):
            found = await tokens.check(HEADER)

    assert "expired" in found.description


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, NO_TOKEN),
        ("", NO_TOKEN),
        ("Bearer", NO_TOKEN),
        ("Bearer   ", NO_TOKEN),
        ("Basic abc", NO_TOKEN),
        ("Bearer aes_nobody", UNKNOWN),
        ("bearer \udc80", UNKNOWN),
        (f"Bearer {'x' * 100_000}", UNKNOWN),
    ],
    ids=lambda each: str(each)[:12].encode("ascii", "replace").decode(),
)
async def test_what_holds_no_known_token_is_turned_away(
    home: Path, header: str | None, why: TurnedAway
) -> None:
    house, ledger = built(home)
    with closing(ledger):
        found = await Tokens(house=house).check(header)

    assert found == why


async def test_without_a_ledger_nobody_is_let_in(home: Path) -> None:
    house, ledger = built(home)
    with closing(ledger):
        (home / "ledger.db").write_bytes(b"no database" * 1000)
        (home / "ledger.db-wal").unlink(missing_ok=True)

        with pytest.raises(LedgerError):
            await Tokens(house=house).check(HEADER)
