import json

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
