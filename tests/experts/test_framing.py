from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.experts.framing import Framing, ServerSentEvents, framing_for
from ask_expert.experts.wire import Event


def read(framing: Framing, *chunks: bytes) -> list[Event]:
    found = [event for chunk in chunks for event in framing.feed(chunk)]
    return [*found, *framing.end()]


def event(data: str, name: str = "") -> Event:
    return Event(name=name, data=data)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [event("a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [event("a"), event("b")]),
        (b"data: a\r\rdata: b\r\r", [event("a"), event("b")]),
        (b"event: ping\ndata: {}\n\n", [event("{}", "ping")]),
        (b"data: a\ndata: b\ndata\n\n", [event("a\nb\n")]),
        (b"data:a\ndata:  b\n\n", [event("a\n b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [event("a")]),
        (b": OPENROUTER PROCESSING\n\ndata: a\n\n", [event("a")]),
        (b"id: 7\nretry: 9\nnonsense\ndata: a\n\n", [event("a")]),
        (b"event: lost\n\ndata: a\n\n", [event("a")]),
        (b"data: a: b\n\n", [event("a: b")]),
        (b"data: \xff\n\n", [event("�")]),
        (b"data: no blank line", [event("no blank line")]),
        (b"data: one\n", [event("one")]),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_a_stream_is_cut_as_the_standard_says(
    stream: bytes, events: list[Event]
) -> None:
    assert read(ServerSentEvents(), stream) == events


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    framing = ServerSentEvents()

    assert framing.feed(b"data: a\r") == []
    assert framing.feed(b"\n\r") == [event("a")]
    assert framing.feed(b"\ndata: b\n") == []
    assert framing.feed(b"\n") == [event("b")]


LINES = st.sampled_from(
    ["data: é🧠", "data: {}", "event: x", ": note", "", "", "data", "data:  two"]
)


@given(
    lines=st.lists(LINES, max_size=30),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 400), max_size=20),
)
def test_how_a_stream_is_chopped_up_makes_no_difference(
    lines: list[str], end: str, cuts: list[int]
) -> None:
    stream = "".join(line + end for line in lines).encode()
    edges = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    chunks = [stream[a:b] for a, b in pairwise(edges)]

    whole = read(ServerSentEvents(), stream)
    pieces = read(ServerSentEvents(), *chunks)
    bytewise = read(ServerSentEvents(), *(bytes([each]) for each in stream))

    assert pieces == whole == bytewise


@pytest.mark.parametrize(
    "content_type",
    ["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream ;x"],
)
def test_a_stream_is_known_by_its_content_type(content_type: str) -> None:
    assert isinstance(framing_for(content_type), ServerSentEvents)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "text/html", "text/event-streams"]
)
def test_what_is_no_stream_is_read_in_one_piece(content_type: str) -> None:
    assert framing_for(content_type) is None
