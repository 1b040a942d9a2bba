"""Each token is served under its own policy and budgets, and as who it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ask_expert import house as houses
from ask_expert.access import AccessToken
from ask_expert.errors import ConfigError
from ask_expert.escalation import Escalator
from ask_expert.ledger import changes
from ask_expert.mcp_server.team import HttpPeer, Team, own_budgets
from ask_expert.question import Caller, Question
from tests.end_to_end.support import expert, write_settings

pytestmark = pytest.mark.anyio

TOKEN = AccessToken(
    id="k_1",
    name="ada",
    user="ada",
    project="shop",
    role="member",
    created_us=1,
    by="root",
)
DAY = {"scope": "day", "usd": "5", "per": ["session"]}
NOBODY = Caller(session="s", project="/", user="u")


@asynccontextmanager
async def opened(home: Path) -> AsyncGenerator[Team]:
    write_settings(home, expert("http://127.0.0.1:9"), policy="balanced")
    house = houses.build(home, environ={})
    async with Escalator(house).open() as root:
        yield Team(house=house, root=root)


async def test_tokens_of_one_policy_and_the_same_budgets_share_a_view(
    home: Path,
) -> None:
    async with opened(home) as team:
        plain = await team.serving(TOKEN)
        nobody = await team.serving(None)
        frugal = await team.serving(replace(TOKEN, policy="frugal", budgets=(DAY,)))
        same = await team.serving(
            replace(TOKEN, id="k_2", policy="frugal", budgets=(DAY,))
        )
        other = await team.serving(replace(TOKEN, policy="frugal"))

    assert plain is nobody is team.root
    assert frugal is same
    assert other is not frugal
    assert [each.policy_name for each in (plain, frugal)] == ["balanced", "frugal"]


async def test_a_token_s_budget_counts_what_this_token_spends(home: Path) -> None:
    async with opened(home) as team:
        view = await team.serving(replace(TOKEN, budgets=({"scope": "day", "usd": 5},)))
        rooms = await view.rooms(replace(NOBODY, session="k_1"))

    (own,) = [room.cap for room in rooms if "session" in room.cap.label]
    assert own.label.endswith("of session k_1")
    assert own.nusd == 5 * 10**9


async def test_a_policy_is_put_on_record_when_a_token_first_uses_it(
    home: Path,
) -> None:
    async with opened(home) as team:
        await team.serving(replace(TOKEN, policy="frugal"))

        named = {
            each.name
            for each in changes.latest(team.house.ledger, 100)
            if each.kind == "policy"
        }

    assert {"balanced", "frugal"} <= named


async def test_a_policy_that_does_not_load_is_tried_anew_at_the_next_call(
    home: Path,
) -> None:
    token = replace(TOKEN, policy="mine.yaml")
    async with opened(home) as team:
        with pytest.raises(ConfigError, match="the access token 'ada'"):
            await team.serving(token)
        (home / "mine.yaml").write_text(
            "name: mine\nrules: [{when: always}]\nbudgets: [{scope: day, usd: 1}]\n"
        )

        view = await team.serving(token)

    assert view.policy_name == "mine"


MINE = "name: mine\nrules: [{{when: always}}]\nbudgets: [{{scope: day, usd: {}}}]\n"


async def test_a_policy_that_is_edited_holds_as_it_was_for_every_token(
    home: Path,
) -> None:
    file = home / "mine.yaml"
    file.write_text(MINE.format(1))
    async with opened(home) as team:
        before = await team.serving(replace(TOKEN, policy="mine.yaml"))
        file.write_text(MINE.format(9))

        other = await team.serving(
            replace(TOKEN, policy=str(file), budgets=({"scope": "week", "usd": 5},))
        )

        lefts = [(await view.rooms(NOBODY))[0].cap.nusd for view in (before, other)]

    assert lefts == [10**9, 10**9]


async def test_a_token_that_names_the_server_s_own_policy_is_under_that_very_one(
    home: Path,
) -> None:
    file = home / "policy.yaml"
    settings = {"policy": yaml.safe_load(MINE.format(1))}
    write_settings(home, expert("http://127.0.0.1:9"), **settings)
    house = houses.build(home, environ={})
    file.write_text(MINE.format(9))
    async with Escalator(house).open() as root:
        team = Team(house=house, root=root)

        view = await team.serving(replace(TOKEN, policy=str(file)))
        (room,) = await view.rooms(NOBODY)

    assert room.cap.nusd == 10**9


def test_what_is_no_budget_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="its budgets"):
        own_budgets(({"scope": "fortnight", "usd": 1},))


async def test_replicas_with_one_mask_key_seal_alike_and_others_do_not(
    home: Path, tmp_path: Path
) -> None:
    other_home = tmp_path / "other"
    other_home.mkdir()
    async with opened(home) as one, opened(home) as same, opened(other_home) as other:
        keys = [each.state_key() for each in (one, same, other)]
        mask_key = one.house.mask_key

    assert keys[0] == keys[1] != keys[2]
    assert len(keys[0]) == 32
    assert keys[0] != mask_key


def test_files_and_a_check_stay_outside_and_are_named() -> None:
    asked = Question(text="Why?", caller=NOBODY, files=("a.py", "b.py:1-3"), check="t")

    kept, left_out = HttpPeer(nobody=NOBODY).admitted(asked)

    assert kept == Question(text="Why?", caller=NOBODY)
    assert [each.split(":")[0] for each in left_out] == ["a.py", "b.py", "check t"]
