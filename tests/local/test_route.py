import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.local.route import Need, Route, choose, tokens_needed
from ask_expert.local_settings import LocalSettings
from ask_expert.question import Turn


def server(
    name: str, window: int | None = None, role: str = "general"
) -> LocalSettings:
    return LocalSettings(
        base_url="http://127.0.0.1:1/v1", model="m", name=name, window=window, role=role
    )


CODER = server("coder", 8_000, "code")
SHORT = server("short", 8_000)
WIDE = server("wide", 128_000, "long")
ALL = (SHORT, CODER, WIDE)


@pytest.mark.parametrize(
    ("need", "name", "reason"),
    [
        (Need(tokens=100), "short", "short is the first that fits"),
        (Need(tokens=100, role="code"), "coder", "coder is for code questions"),
        (Need(tokens=100, role="maths"), "short", "short is the first that fits"),
        (Need(tokens=100, role="long"), "wide", "wide is for long questions"),
        (
            Need(tokens=9_000, role="code"),
            "wide",
            "9,000 tokens are over the 8,000 of coder; wide has room",
        ),
    ],
)
def test_the_first_that_fits_in_kind_and_window_is_taken(
    need: Need, name: str, reason: str
) -> None:
    route = choose(ALL, need)

    assert route.local is not None
    assert (route.local.label, route.reason) == (name, reason)
    assert route.moved_from is None


def test_a_conversation_stays_where_it_began_whatever_its_kind_is_now() -> None:
    route = choose(ALL, Need(tokens=7_000, role="code", began_at="short"))

    assert route == Route(local=SHORT, reason="the conversation began at short")


def test_a_conversation_that_outgrows_its_window_moves_and_that_is_told() -> None:
    route = choose(ALL, Need(tokens=20_000, began_at="short"))

    assert route.local == WIDE
    assert route.moved_from == "short"
    assert route.reason.startswith(
        "moved from short: 20,000 tokens are over the 8,000 of short; "
    )


def test_a_conversation_whose_server_is_gone_moves_and_that_is_told() -> None:
    route = choose(ALL, Need(tokens=20, began_at="old"))

    assert (route.local, route.moved_from) == (SHORT, "old")
    assert "old is no longer in the settings" in route.reason


def test_what_fits_nowhere_is_a_normal_no() -> None:
    route = choose(ALL, Need(tokens=200_000, began_at="short"))

    assert route == Route(
        local=None,
        reason="200,000 tokens fit into no window; the largest is 128,000 (wide)",
    )


def test_a_server_whose_window_is_not_given_takes_any_length() -> None:
    assert choose((server("a"),), Need(tokens=10**9)).local == server("a")


def test_no_server_at_all_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no local server"):
        choose((), Need(tokens=1))


def test_tokens_are_bounded_from_above_with_room_for_the_answer() -> None:
    turns = (Turn(role="system", text="Help."), Turn(role="user", text="€" * 10))

    assert tokens_needed(turns, max_tokens=500) >= 500 + 30 + 2


ROLES = st.sampled_from(["general", "code", "maths", "long"])
WINDOWS = st.none() | st.integers(256, 4_000)


@st.composite
def servers(draw: st.DrawFn) -> tuple[LocalSettings, ...]:
    facts = draw(st.lists(st.tuples(WINDOWS, ROLES), min_size=1, max_size=5))
    return tuple(
        server(f"s{number}", window, role)
        for number, (window, role) in enumerate(facts)
    )


NEEDS = st.builds(
    Need,
    tokens=st.integers(1, 5_000),
    role=st.none() | ROLES,
    began_at=st.none() | st.sampled_from([f"s{number}" for number in range(6)]),
)


@given(servers(), NEEDS)
def test_a_window_is_never_exceeded_and_something_that_fits_is_never_missed(
    locals_: tuple[LocalSettings, ...], need: Need
) -> None:
    route = choose(locals_, need)

    fits = [
        each for each in locals_ if each.window is None or need.tokens <= each.window
    ]
    assert (route.local in fits) if fits else (route.local is None)
    assert route.reason


@given(servers(), NEEDS)
def test_a_move_is_told_exactly_when_there_is_one(
    locals_: tuple[LocalSettings, ...], need: Need
) -> None:
    route = choose(locals_, need)

    moved = (
        route.local is not None
        and need.began_at is not None
        and route.local.label != need.began_at
    )
    assert route.moved_from == (need.began_at if moved else None)


@given(servers(), NEEDS)
def test_a_further_question_after_a_move_stays_where_it_moved_to(
    locals_: tuple[LocalSettings, ...], need: Need
) -> None:
    first = choose(locals_, need)
    if first.local is None:
        return

    second = choose(
        locals_,
        Need(tokens=need.tokens, role=need.role, began_at=first.local.label),
    )

    assert (second.local, second.moved_from) == (first.local, None)
