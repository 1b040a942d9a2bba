import base64
import hashlib
from collections.abc import Mapping

import pytest

from ask_expert.access import (
    AccessToken,
    Action,
    Role,
    digest,
    issue_trouble,
    may,
    new_secret,
    window_of,
    words,
)
from ask_expert.redaction import Masker

NOW_US = 1_795_348_800_000_000
HOUR_US = 3_600_000_000
ACTIONS: tuple[Action, ...] = ("ask", "see", "approve", "issue", "manage")
FIVE = {"scope": "day", "usd": "5", "per": ["session"]}
TEN = {**FIVE, "usd": "10"}


def token(
    role: Role = "member",
    *,
    project: str = "/x",
    policy: str | None = None,
    budgets: tuple[Mapping[str, object], ...] = (),
    expires_us: int | None = None,
    revoked_us: int | None = None,
) -> AccessToken:
    return AccessToken(
        id="k_1",
        name="ci",
        user="ada",
        project=project,
        role=role,
        policy=policy,
        budgets=budgets,
        created_us=NOW_US,
        by="root",
        expires_us=expires_us,
        revoked_us=revoked_us,
    )


@pytest.mark.parametrize(
    ("role", "own", "elsewhere"),
    [
        ("owner", "ask see approve issue manage", "ask see approve issue manage"),
        ("lead", "ask see approve issue", ""),
        ("member", "ask", ""),
    ],
)
def test_a_role_may_do_this_in_its_own_project_and_that_elsewhere(
    role: Role, own: str, elsewhere: str
) -> None:
    allowed = {
        project: " ".join(each for each in ACTIONS if may(token(role), each, project))
        for project in ("/x", "/y")
    }

    assert allowed == {"/x": own, "/y": elsewhere}


def test_a_token_is_good_until_the_very_instant_it_expires() -> None:
    ending = token(expires_us=NOW_US)

    assert ending.trouble(NOW_US - 1) is None
    assert ending.trouble(NOW_US) == (
        "The access token 'ci' expired at 2026-11-22T12:00:00Z; "
        "ask whoever runs this server for a new one."
    )


def test_a_revoked_token_says_so_before_it_says_that_it_expired() -> None:
    ended = token(expires_us=NOW_US, revoked_us=NOW_US - HOUR_US)

    assert "was revoked at 2026-11-22T11:00:00Z" in (ended.trouble(NOW_US) or "")


def test_a_token_without_an_end_is_always_good() -> None:
    assert token().trouble(2**62) is None


def test_a_secret_holds_every_random_byte_and_is_never_twice_the_same() -> None:
    drawn = bytes(range(223, 255))

    secret = new_secret(lambda size: drawn[:size])

    assert secret.startswith("aes_")
    assert base64.urlsafe_b64decode(secret.removeprefix("aes_") + "=") == drawn
    assert len({new_secret() for _ in range(100)}) == 100


def test_a_digest_is_the_sha256_of_any_text() -> None:
    assert digest("aes_x") == hashlib.sha256(b"aes_x").hexdigest()
    assert len(digest("\ud800")) == 64


def test_every_secret_is_masked_where_it_turns_up() -> None:
    masker = Masker()

    for secret in (new_secret() for _ in range(200)):
        assert masker.scrub(f"curl -H 'X-Key: {secret}'") == (
            "curl -H 'X-Key: «SECRET:ask_expert_token»'"
        )


@pytest.mark.parametrize(
    ("new", "trouble"),
    [
        (token(policy="frugal", budgets=(FIVE,), expires_us=NOW_US), None),
        (
            token(
                policy="frugal",
                budgets=({**FIVE, "usd": "0.5", "calls": 3},),
                expires_us=NOW_US - 1,
            ),
            None,
        ),
        (
            token(project="/y", policy="frugal", budgets=(FIVE,), expires_us=NOW_US),
            "none for the project /y",
        ),
        (
            token("lead", policy="frugal", budgets=(FIVE,), expires_us=NOW_US),
            "of members only",
        ),
        (
            token(policy="quality", budgets=(FIVE,), expires_us=NOW_US),
            "the lead's own policy",
        ),
        (token(policy="frugal", budgets=(FIVE,)), "ends no later"),
        (
            token(policy="frugal", budgets=(FIVE,), expires_us=NOW_US + 1),
            "ends no later",
        ),
        (token(policy="frugal", expires_us=NOW_US), "no more than its own $5 per day"),
        (
            token(policy="frugal", budgets=(TEN,), expires_us=NOW_US),
            "no more than its own $5 per day",
        ),
        (
            token(
                policy="frugal",
                budgets=({"scope": "day", "usd": "5"},),
                expires_us=NOW_US,
            ),
            "no more than its own",
        ),
        (
            token(
                policy="frugal", budgets=({**FIVE, "mode": "soft"},), expires_us=NOW_US
            ),
            "no more than its own",
        ),
        (
            token(
                policy="frugal",
                budgets=({"scope": "day", "calls": 1, "per": ["session"]},),
                expires_us=NOW_US,
            ),
            "no more than its own",
        ),
    ],
)
def test_a_lead_issues_nothing_that_is_more_than_it_has_itself(
    new: AccessToken, trouble: str | None
) -> None:
    lead = token("lead", policy="frugal", budgets=(FIVE,), expires_us=NOW_US)

    found = issue_trouble(lead, new)

    assert found is None if trouble is None else trouble in (found or "")


def test_a_member_issues_nothing_and_an_owner_anything() -> None:
    owner = token("owner", project="/y")

    assert issue_trouble(token("member"), token()) is not None
    assert issue_trouble(token("lead"), token()) is None
    assert issue_trouble(owner, token("owner", expires_us=None)) is None


def test_a_budget_is_told_in_one_line() -> None:
    line = {
        "scope": "month",
        "usd": "20",
        "calls": 100,
        "tokens": 5,
        "per": ["session", "expert"],
        "rolling": True,
        "mode": "soft",
    }

    assert words(FIVE) == "$5 per day and session"
    assert words({"scope": "total", "calls": 0}) == "0 calls per total"
    assert words(line) == (
        "$20 and 100 calls and 5 tokens per rolling month and expert and session, soft"
    )
    assert window_of(FIVE) == "day and session"
