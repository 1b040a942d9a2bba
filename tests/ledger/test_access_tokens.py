from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import inspect, select

from ask_expert.access import AccessToken, digest
from ask_expert.errors import LedgerError, NameTakenError
from ask_expert.ledger import access_tokens, changes
from ask_expert.ledger.engine import reading
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import access_tokens as table
from ask_expert.ledger.tables import changes as changes_table
from tests.databases import statements

NOW_US = 1_795_348_800_000_000
TOKEN = AccessToken(
    id="k_1",
    name="ci",
    user="ada",
    project="/x",
    role="lead",
    policy="frugal",
    budgets=({"scope": "day", "usd": "5", "per": ["session"]},),
    created_us=NOW_US,
    by="root",
    expires_us=NOW_US + 10,
)
SECRET = "aes_one"  # made up


def add(ledger: Ledger, token: AccessToken, secret: str, at_us: int = NOW_US) -> None:
    access_tokens.add(ledger, token, digest=digest(secret), at_us=at_us, by=token.by)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Start all calls together; return what each came to."""
    start = Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        start.wait(30)
        try:
            return call()
        except LedgerError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_a_token_is_found_by_the_digest_of_its_secret_alone(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)

    assert access_tokens.find(ledger, digest(SECRET)) == TOKEN
    assert access_tokens.find(ledger, SECRET) is None
    assert access_tokens.find(ledger, digest("aes_two")) is None


def test_a_token_without_anything_optional_comes_back_as_it_was(ledger: Ledger) -> None:
    plain = replace(TOKEN, policy=None, budgets=(), expires_us=None)

    add(ledger, plain, SECRET)

    assert access_tokens.find(ledger, digest(SECRET)) == plain


def test_finding_a_token_is_one_read_along_an_index(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)
    said = statements(ledger)

    access_tokens.find(ledger, digest(SECRET))

    assert len([each for each in said if "access_tokens" in each]) == 1
    unique = inspect(ledger.engine).get_unique_constraints("access_tokens")
    assert ["digest"] in [each["column_names"] for each in unique]


def test_a_token_that_ended_is_found_so_that_one_can_say_how(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)
    access_tokens.revoke(ledger, "ci", at_us=NOW_US + 1, by="root")

    found = access_tokens.find(ledger, digest(SECRET))

    assert found is not None
    assert "was revoked" in (found.trouble(NOW_US + 2) or "")


def test_a_name_in_use_is_refused_and_nothing_of_it_is_kept(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)

    with pytest.raises(NameTakenError, match=r"already: revoke it, or take another"):
        add(ledger, replace(TOKEN, id="k_2"), "aes_two")

    assert access_tokens.every(ledger) == (TOKEN,)
    assert len(changes.latest(ledger, 10)) == 1


def test_an_expired_token_keeps_its_name_until_it_is_revoked(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)

    with pytest.raises(NameTakenError, match=r"already, although it expired: revoke"):
        add(ledger, replace(TOKEN, id="k_2"), "aes_two", at_us=NOW_US + 10)


def test_of_two_creations_of_one_name_at_once_one_wins(ledger: Ledger) -> None:
    tokens = [replace(TOKEN, id=f"k_{number}") for number in range(4)]

    ended = at_once(
        *(lambda each=each: add(ledger, each, f"aes_{each.id}") for each in tokens)
    )

    refused = [each for each in ended if each is not None]
    assert len(refused) == 3
    assert all("There is a token 'ci' already" in str(each) for each in refused)
    (kept,) = access_tokens.every(ledger)
    assert access_tokens.find(ledger, digest(f"aes_{kept.id}")) == kept
    assert len(changes.latest(ledger, 10)) == 1


def test_a_revocation_is_final_and_a_second_one_changes_nothing(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)

    first = access_tokens.revoke(ledger, "ci", at_us=NOW_US + 1, by="root")
    second = access_tokens.revoke(ledger, "ci", at_us=NOW_US + 2, by="eve")

    assert first == second == (replace(TOKEN, revoked_us=NOW_US + 1),)
    assert [each.by for each in changes.latest(ledger, 10)] == ["root", "root"]


def test_of_two_revocations_at_once_one_is_on_record(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)

    ended = at_once(
        *(
            lambda at=at: access_tokens.revoke(ledger, "ci", at_us=at, by="root")
            for at in (NOW_US + 1, NOW_US + 2)
        )
    )

    assert ended[0] == ended[1]
    assert len(changes.latest(ledger, 10)) == 2


def issued(name: str, by: str) -> AccessToken:
    return replace(
        TOKEN, id=f"k_{name}", name=name, role="member", by=by, created_us=NOW_US + 1
    )


def test_with_a_lead_ends_what_it_issued_and_nothing_else(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)
    add(ledger, issued("of-lead", "token ci"), "aes_two")
    add(ledger, issued("of-another", "token cia"), "aes_three")

    ended = access_tokens.revoke(ledger, "ci", at_us=NOW_US + 2, by="root")

    good = [each.name for each in access_tokens.every(ledger) if not each.revoked_us]
    record = [(each.name, each.by) for each in changes.latest(ledger, 2)]
    assert [each.name for each in ended] == ["ci", "of-lead"]
    assert {each.revoked_us for each in ended} == {NOW_US + 2}
    assert good == ["of-another"]
    assert record == [("of-lead", "root"), ("ci", "root")]


def test_what_an_owner_issued_outlives_it(ledger: Ledger) -> None:
    add(ledger, replace(TOKEN, role="owner"), SECRET)
    add(ledger, issued("of-owner", "token ci"), "aes_two")

    access_tokens.revoke(ledger, "ci", at_us=NOW_US + 2, by="root")

    good = [each.name for each in access_tokens.every(ledger) if not each.revoked_us]
    assert good == ["of-owner"]


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_token_that_ended_issues_none(ledger: Ledger, how: str) -> None:
    add(ledger, TOKEN, SECRET)
    at_us = NOW_US + (2 if how == "revoked" else 10)
    if how == "revoked":
        access_tokens.revoke(ledger, "ci", at_us=NOW_US + 1, by="root")

    with pytest.raises(LedgerError, match=f"'ci' (was )?{how} at"):
        access_tokens.add(
            ledger,
            issued("late", "token ci"),
            digest=digest("aes_two"),
            at_us=at_us,
            by="token ci",
            issuer=TOKEN.id,
        )

    assert [each.name for each in access_tokens.every(ledger)] == ["ci"]


def test_a_name_that_never_was_cannot_be_revoked(ledger: Ledger) -> None:
    assert access_tokens.revoke(ledger, "ci", at_us=NOW_US, by="root") == ()
    assert changes.latest(ledger, 10) == ()


def test_a_revoked_tokens_name_may_be_used_again(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)
    access_tokens.revoke(ledger, "ci", at_us=NOW_US + 1, by="root")
    again = replace(TOKEN, id="k_2", created_us=NOW_US + 2)

    add(ledger, again, "aes_two")

    assert access_tokens.named(ledger, "ci") == again
    assert access_tokens.find(ledger, digest("aes_two")) == again
    assert [each.id for each in access_tokens.every(ledger)] == ["k_1", "k_2"]
    access_tokens.revoke(ledger, "ci", at_us=NOW_US + 3, by="root")
    last = access_tokens.named(ledger, "ci")
    assert last is not None
    assert (last.id, last.revoked_us) == ("k_2", NOW_US + 3)


def test_each_change_of_a_token_says_who_when_and_what(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)
    access_tokens.revoke(ledger, "ci", at_us=NOW_US + 1, by="eve")

    revoked, created = changes.latest(ledger, 10)

    assert (created.kind, created.name, created.by, created.at_us, created.old) == (
        "token",
        "ci",
        "root",
        NOW_US,
        None,
    )
    assert created.new == {
        "id": "k_1",
        "user": "ada",
        "project": "/x",
        "role": "lead",
        "policy": "frugal",
        "budgets": [{"scope": "day", "usd": "5", "per": ["session"]}],
        "created_us": NOW_US,
        "by": "root",
        "expires_us": NOW_US + 10,
    }
    assert (revoked.by, revoked.old) == ("eve", created.new)
    assert revoked.new == {**(created.new or {}), "revoked_us": NOW_US + 1}


def test_neither_a_secret_nor_its_digest_is_in_the_changes(ledger: Ledger) -> None:
    add(ledger, TOKEN, SECRET)
    access_tokens.revoke(ledger, "ci", at_us=NOW_US + 1, by="root")

    with reading(ledger.engine) as connection:
        record = str(connection.execute(select(changes_table)).all())
        kept = str(connection.execute(select(table)).all())

    assert SECRET not in record + kept
    assert digest(SECRET) not in record
    assert digest(SECRET) in kept
