import json
from collections.abc import Mapping
from typing import Any

import pytest

from ask_expert.experts.framing import ServerSentEvents
from ask_expert.experts.incoming import Incoming
from ask_expert.experts.inflate import Inflater
from ask_expert.experts.streamed.chat import StreamedChat


class Counting(StreamedChat):
    """Counts how often its whole text is put together."""

    def __init__(self) -> None:
        super().__init__()
        self.joined = 0

    @property
    def text(self) -> str:
        self.joined += 1
        return super().text


def line(**delta: str) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": delta}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def test_a_long_stream_is_not_put_together_while_it_comes() -> None:
    reply = Counting()
    seen: list[int] = []
    stream = Incoming(
        framing=ServerSentEvents(),
        inflater=Inflater(""),
        reply=reply,
        sent_at=0.0,
        watch=seen.append,
    )

    for piece in (line(reasoning_content="x"), line(content=" "), line(content="ab")):
        for _ in range(500):
            list(stream.feed(piece))
    stream.end()

    assert reply.joined == 0
    assert stream.first_token_us is not None
    assert seen == sorted(set(seen))
    assert seen[-1] == 1500 == len(reply.text)


def test_white_space_is_no_first_text() -> None:
    stream = Incoming(
        framing=ServerSentEvents(),
        inflater=Inflater(""),
        reply=StreamedChat(),
        sent_at=0.0,
    )

    list(stream.feed(line(content=" \n")))
    before = stream.first_token_us
    list(stream.feed(line(content="Hi.")))

    assert before is None
    assert stream.first_token_us is not None


def named(*events: object) -> list[str]:
    """Return the ids that were heard in a stream of these events."""
    heard: list[str] = []
    stream = Incoming(
        framing=ServerSentEvents(),
        inflater=Inflater(""),
        reply=StreamedChat(),
        sent_at=0.0,
        heard=heard.append,
    )
    for event in events:
        list(stream.feed(f"data: {json.dumps(event)}\n\n".encode()))
    return heard


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({"id": "gen-1", "choices": []}, "gen-1"),
        ({"type": "response.created", "response": {"id": "resp_1"}}, "resp_1"),
        ({"type": "message_start", "message": {"id": "msg_1"}}, "msg_1"),
        ({"responseId": "r_1", "candidates": []}, "r_1"),
    ],
)
def test_the_first_id_of_a_stream_is_heard_once(
    event: Mapping[str, Any], name: str
) -> None:
    assert named({"choices": []}, event, {"id": "another"}) == [name]


@pytest.mark.parametrize("wrong", [7, None, "", ["gen-1"], {"id": "gen-1"}])
def test_an_id_that_is_no_word_is_not_heard(wrong: object) -> None:
    assert named({"id": wrong, "choices": []}) == []


def test_an_id_is_not_looked_for_in_every_event_of_a_long_stream() -> None:
    nameless = ({"object": "chunk"} for _ in range(10))

    assert named(*nameless, {"id": "gen-1"}) == []
