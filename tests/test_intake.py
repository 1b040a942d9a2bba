import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ask_expert import house as houses
from ask_expert.house import House
from ask_expert.intake import known_caller, take_in
from ask_expert.question import Caller, Question
from tests.end_to_end.support import write_settings

TOKEN = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
PLAIN = "correct-horse-battery"
"""A secret that only its variable gives away."""
ANY_CHARACTER = st.characters(codec=None)
"""Halves of surrogate pairs, too: what is no UTF-8 in a user's name becomes some."""


@pytest.fixture
def house(home: Path) -> House:
    code = (
        f"print('x' * 1990 + ' ' + {PLAIN!r} + ' tail')\n"
        "print('y\\n' * 3000)\n"
        "print('last line')"
    )
    write_settings(home, checks={"t": {"command": [sys.executable, "-c", code]}})
    environ = {"DEPLOY_PASSWORD": PLAIN, "HOME": str(home)}
    return houses.build(home, environ=environ)


def caller(**changes: str) -> Caller:
    plain = Caller(session="s_1", project="/home/me/work", user="me", agent="client")
    return replace(plain, **changes)


def test_a_secret_where_a_checks_output_is_cut_leaves_in_no_part(
    house: House, tmp_path: Path
) -> None:
    asked = Question(text="Why?", check="t", caller=caller(project=str(tmp_path)))

    case = take_in(house, asked)

    assert case.check is not None
    output = case.check.output
    assert len(output) <= 8000
    assert not any(PLAIN[:size] in output for size in range(6, len(PLAIN)))
    assert not any(PLAIN[-size:] in output for size in range(6, len(PLAIN)))
    assert output.startswith("xxx")
    assert output.endswith("last line")


def test_a_caller_without_secrets_is_kept_as_it_is(house: House) -> None:
    assert known_caller(house, caller()) == caller()


@pytest.mark.parametrize("secret", [TOKEN, PLAIN])
def test_no_secret_in_the_callers_names_is_kept(house: House, secret: str) -> None:
    known = known_caller(
        house,
        caller(
            session=f"run {secret}",
            project=f"/work/{secret}/src",
            agent=f"bot\u202e {secret[:9]}\u200b{secret[9:]}",
        ),
    )

    assert secret not in repr(known)
    assert known.session.startswith("s_")
    assert "«SECRET:" in known.project
    assert known.agent.startswith("bot «SECRET:")


def test_callers_that_differ_in_a_secret_alone_stay_apart(house: House) -> None:
    one, other = (
        known_caller(house, caller(session=each, project=f"/work/{each}"))
        for each in (TOKEN, TOKEN[::-1].replace("_phg", "") + "0" * 4)
    )
    same = known_caller(house, caller(session=TOKEN, project=f"/work/{TOKEN}"))

    assert one == same
    assert one.session != other.session
    assert one.project != other.project


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    session=st.text(), project=st.text(), agent=st.text(), user=st.text(ANY_CHARACTER)
)
@example(session="s", project="/x", agent="a", user="b\udcff\0")
def test_a_known_caller_is_known_and_can_be_stored(
    house: House, session: str, project: str, agent: str, user: str
) -> None:
    told = caller(session=session, project=project, agent=agent, user=user)

    known = known_caller(house, told)

    everything = known.session + known.project + known.agent + known.user
    assert known_caller(house, known) == known
    assert everything.encode().decode() == everything
    assert "\0" not in everything


def test_a_question_is_taken_in_under_the_known_caller_and_finds_its_thread(
    house: House, tmp_path: Path
) -> None:
    folder = tmp_path / TOKEN
    folder.mkdir()
    (folder / "a.py").write_text("one = 1\n")
    asked = Question(text="Why?", files=("a.py",), caller=caller(project=str(folder)))

    case = take_in(house, asked)

    assert case.question.caller == known_caller(house, asked.caller)
    assert TOKEN not in case.question.caller.project
    assert case.attachments[0].text == "one = 1"
