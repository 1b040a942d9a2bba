import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.errors import ExpertError, ExpertUnavailableError
from ask_expert.experts.prices import charge
from ask_expert.experts.registry import wire_for
from ask_expert.experts.wire import Event, StreamedReply
from ask_expert.reply import ExpertAnswer, Finish, Usage
from tests.experts.support import NOW, an_expert

WIRES = ("openai_chat", "openai_responses", "anthropic", "gemini", "openrouter")


def event(data: object, name: str = "") -> Event:
    return Event(name=name, data=data if isinstance(data, str) else json.dumps(data))


def gathered(api: str, *pieces: object) -> StreamedReply:
    reply = wire_for(api).gather()
    for piece in pieces:
        reply.add(event(piece))
    return reply


def read(api: str, reply: StreamedReply) -> ExpertAnswer:
    return wire_for(api).decode(an_expert(api=api), reply.body(), {})


def answered(api: str, *pieces: object) -> ExpertAnswer:
    return read(api, gathered(api, *pieces))


def broken_off(api: str, *pieces: object) -> StreamedReply:
    reply = gathered(api, *pieces[:-1])
    with pytest.raises(ValueError, match="broke off"):
        reply.add(event(pieces[-1]))
    return reply


def chunk(delta: object, finish: object = None, **facts: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"model": "m", "choices": [choice], **facts}


def text_delta(text: str, index: object = 0) -> dict[str, Any]:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def part(text: object, finish: object = None, **facts: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text, **facts}]}
    return {"candidates": [{"content": content, "finishReason": finish, "index": 0}]}


def said(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": text}


def test_a_character_that_comes_in_halves_is_put_together() -> None:
    first, second = r'"\ud83e"', r'"\udde0"'
    chat = wire_for("openai_chat").gather()

    for half in (first, second):
        chat.add(event(f'{{"choices":[{{"index":0,"delta":{{"content":{half}}}}}]}}'))

    assert read("openai_chat", chat).text == "🧠"


def test_chat_reads_parts_another_choice_s_silence_and_thoughts_apart() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    other = {"index": 1, "delta": {"content": "no"}, "finish_reason": None}

    answer = answered(
        "openai_chat",
        {"choices": [], "prompt_filter_results": []},
        chunk({"role": "assistant", "content": [thinking]}),
        chunk({"content": [{"type": "text", "text": "Use "}]}),
        chunk({"reasoning_content": "Hm.", "content": None}),
        {"choices": [other]},
        chunk({"content": "it."}, "stop"),
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
        "[DONE]",
    )

    assert (answer.text, answer.finish) == ("Use it.", "stop")
    assert answer.usage == Usage(input_tokens=5, output_tokens=2)


def test_counts_grow_and_null_takes_nothing_back() -> None:
    first = {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 4}

    answer = answered(
        "anthropic",
        {"type": "message_start", "message": {"id": "m", "usage": first}},
        text_delta("Hi."),
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 7, "input_tokens": None},
        },
        {"type": "message_stop"},
    )

    assert answer.usage == Usage(input_tokens=9, cache_read_tokens=4, output_tokens=7)


def usage(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written}


def message(read: int, written: int) -> dict[str, Any]:
    counts = {"input_tokens": read, "output_tokens": written}
    return {"type": "message_start", "message": {"id": "m", "usage": counts}}


def ending(**counts: int) -> dict[str, Any]:
    told = {"usage": counts} if counts else {}
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **told}


def content(read: int, total: int) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": read, "totalTokenCount": total}}


def response(kind: str, **facts: object) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": facts}


END = {"type": "message_stop"}
LAST = chunk({}, "stop")
NONE = {"input_tokens": 0, "output_tokens": 0}
SMALL = {"input_tokens": 500, "output_tokens": 1}
LARGE = {"input_tokens": 5000, "output_tokens": 300}
# what came, and what of it is believed: its input and its output; None if nothing is
TOLD: dict[str, tuple[str, list[object], tuple[int | None, int | None]]] = {
    "zeros, then a cut": (
        "openai_chat",
        [chunk({"content": "Hi."}, usage=usage(0, 0))],
        (None, None),
    ),
    "counts before the end alone": (
        "openai_chat",
        [chunk({"content": "Hi."}, usage=usage(500, 1)), LAST],
        (500, None),
    ),
    "counts with the end": (
        "openai_chat",
        [chunk({"content": "Hi."}), chunk({}, "stop", usage=usage(500, 7))],
        (500, 7),
    ),
    "counts that shrink": (
        "openai_chat",
        [
            chunk({"content": "Hi."}, usage=usage(5000, 300)),
            LAST,
            {"choices": [], "usage": usage(5, 3)},
        ],
        (5000, 300),
    ),
    "zeros at the end": (
        "openai_chat",
        [chunk({"content": "Hi."}), LAST, {"choices": [], "usage": usage(0, 0)}],
        (None, None),
    ),
    "an output that is taken back": (
        "openai_chat",
        [
            chunk({"content": "Hi."}, usage=usage(500, 1)),
            chunk({}, "stop", usage=usage(500, 0)),
        ],
        (500, None),
    ),
    "an input of 0": (
        "openai_chat",
        [chunk({"content": "Hi."}), chunk({}, "stop", usage=usage(0, 7))],
        (None, 7),
    ),
    "a message of zeros, cut": (
        "anthropic",
        [message(0, 0), text_delta("Hi.")],
        (None, None),
    ),
    "a message, cut": ("anthropic", [message(500, 1), text_delta("Hi.")], (500, None)),
    "an end of a message without counts": (
        "anthropic",
        [message(500, 1), text_delta("Hi."), ending(), END],
        (500, None),
    ),
    "an end of a message without an output": (
        "anthropic",
        [message(500, 1), text_delta("Hi."), ending(input_tokens=500), END],
        (500, None),
    ),
    "an end of a message with an input of 0": (
        "anthropic",
        [
            message(500, 1),
            text_delta("Hi."),
            ending(input_tokens=0, output_tokens=40),
            END,
        ],
        (500, 40),
    ),
    "content, cut": (
        "gemini",
        [{**part("Hi."), **content(500, 501)}],
        (500, None),
    ),
    "the end of content without counts": (
        "gemini",
        [{**part("Hi."), **content(500, 501)}, part("", "STOP")],
        (500, None),
    ),
    "the end of content": (
        "gemini",
        [
            {**part("Hi."), **content(500, 501)},
            {**part("", "STOP"), **content(500, 520)},
        ],
        (500, 20),
    ),
    "a response that began with zeros, cut": (
        "openai_responses",
        [response("created", usage=NONE), said("Hi.")],
        (None, None),
    ),
    "the end of a response without counts": (
        "openai_responses",
        [response("in_progress", usage=SMALL), said("Hi."), response("completed")],
        (500, None),
    ),
    "the end of a response with fewer": (
        "openai_responses",
        [
            response("in_progress", usage=LARGE),
            said("Hi."),
            response("completed", usage=SMALL),
        ],
        (5000, 300),
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_a_stream_does_not_tell_at_its_end_is_charged_at_its_most(
    name: str,
) -> None:
    api, stream, (read_tokens, written) = TOLD[name]
    expert = an_expert(api=api, price={"input_per_mtok": 1, "output_per_mtok": 10})

    answer = answered(api, *stream)
    cost = charge(
        expert, answer, NOW, assumed_input_tokens=9000, assumed_output_tokens=800
    )

    output = 800 if written is None else written
    assert answer.text == "Hi."
    assert cost.nusd == (read_tokens or 9000) * 1_000 + output * 10_000
    assert (answer.usage.source == "provider") == (written is not None)


def test_a_refusal_that_costs_no_output_is_believed() -> None:
    stopped = {"stop_reason": "refusal"}
    counts = {"output_tokens": 0}

    answer = answered(
        "anthropic",
        message(500, 0),
        {"type": "message_delta", "delta": stopped, "usage": counts},
        END,
    )

    assert (answer.text, answer.usage) == ("", Usage(input_tokens=500))


def test_a_cost_that_was_told_before_the_end_is_no_final_one() -> None:
    early = {**usage(500, 1), "cost": 0}
    expert = an_expert(
        api="openrouter", price={"input_per_mtok": 1, "output_per_mtok": 10}
    )

    answers = [
        answered("openrouter", chunk({"content": "Hi."}, usage=counts), LAST)
        for counts in (early, {"cost": 0})
    ]
    costs = [charge(expert, each, NOW, assumed_output_tokens=800) for each in answers]

    assert [cost.nusd for cost in costs] == [500_000 + 8_000_000, 8_000_000]


def test_details_of_counts_are_kept_at_their_most_too() -> None:
    def counts(*steps: int) -> dict[str, Any]:
        kinds = [{"type": "compaction", **SMALL, "output_tokens": n} for n in steps]
        return {**SMALL, "iterations": kinds}

    answer = answered(
        "anthropic",
        {"type": "message_start", "message": {"usage": counts(40, 2)}},
        text_delta("Hi."),
        {**ending(), "usage": counts(3)},
    )

    assert answer.usage == Usage(input_tokens=1500, output_tokens=1 + 40 + 2)


WRONG = [7, 1.5, True, [1], {"a": 1}, None]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize("api", WIRES)
def test_a_fact_of_the_wrong_type_costs_no_text(api: str, wrong: object) -> None:
    facts = dict.fromkeys(
        ("id", "model", "provider", "service_tier", "system_fingerprint"), wrong
    )
    bare = {key: value for key, value in facts.items() if key != "model"}
    odd = wrong if wrong != 7 else None  # a 7 is the number of another choice
    streams: dict[str, list[object]] = {
        "openai_chat": [
            {**chunk({"content": "Hi.", "refusal": wrong}), **facts},
            {
                "choices": [
                    {"index": odd, "delta": {}, "finish_reason": "stop"}
                    | {"native_finish_reason": wrong}
                ]
            },
        ],
        "openai_responses": [
            response("created", **facts),
            said("Hi."),
            response("completed", **facts, incomplete_details=wrong, status=wrong),
        ],
        "anthropic": [
            {"type": "message_start", "message": facts},
            text_delta("Hi.", index=odd),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_details": wrong},
            },
        ],
        "gemini": [
            {**part("Hi."), "modelVersion": wrong, "responseId": wrong},
            {**part("", "STOP"), "promptFeedback": wrong},
        ],
    }

    reply = gathered(
        api, *streams.get(api, [{**LAST, **bare}, *streams["openai_chat"]])
    )
    answer = read(api, reply)

    assert reply.is_whole
    assert (answer.text, answer.finish) == ("Hi.", "stop")
    assert answer.provenance.served_model in {None, "m"}
    assert answer.provenance.request_id is None


@pytest.mark.parametrize("wrong", [*WRONG, ""], ids=str)
@pytest.mark.parametrize("api", WIRES)
def test_an_end_of_the_wrong_type_is_none_and_leaves_the_text(
    api: str, wrong: object
) -> None:
    chat: list[object] = [chunk({"content": "Hi."}), chunk({}, wrong)]
    ends: dict[str, list[object]] = {
        "openai_responses": [said("Hi."), {"type": wrong, "response": {}}],
        "anthropic": [
            text_delta("Hi."),
            {"type": "message_delta", "delta": {"stop_reason": wrong}},
        ],
        "gemini": [part("Hi."), part("", wrong)],
    }

    reply = gathered(api, *ends.get(api, chat))

    assert not reply.is_whole
    assert read(api, reply).text == "Hi."


@pytest.mark.parametrize(
    "output",
    [
        7,
        [7],
        [{"type": "reasoning", "summary": []}],
        [{"type": "message", "content": 7}],
        [{"type": "message", "content": [{"type": "output_text", "text": 7}]}],
        [{"type": "message", "content": [{"type": 7, "text": "No."}]}],
    ],
)
def test_what_a_response_said_stands_if_its_last_event_cannot_be_read(
    output: object,
) -> None:
    answer = answered(
        "openai_responses", said("Hi."), response("completed", output=output)
    )

    assert (answer.text, answer.finish) == ("Hi.", "stop")


def test_how_much_text_there_is_is_known_without_joining_it() -> None:
    reply = gathered("anthropic", text_delta(" "), text_delta("\n", index=1))
    blank = (reply.chars, reply.has_text)

    reply.add(event(text_delta("Hi.")))

    assert blank == (2, False)
    assert (reply.chars, reply.has_text, reply.text) == (5, True, " Hi.\n")


def test_blocks_are_read_in_their_order_and_only_those_of_text() -> None:
    start = {"type": "text", "text": "A "}

    answer = answered(
        "anthropic",
        {"type": "content_block_start", "index": 2, "content_block": start},
        text_delta("B", index=3),
        text_delta("and ", index=2),
        {"type": "content_block_delta", "index": 4, "delta": {"type": "other"}},
        {"type": "a_kind_yet_unknown"},
        {"type": "message_stop"},
    )

    assert (answer.text, answer.finish) == ("A and B", "other")


def test_a_response_s_last_event_is_the_reply_even_without_its_texts() -> None:
    usage = {"input_tokens": 5, "output_tokens": 2}
    last: dict[str, Any] = {"status": "completed", "model": "m-2", "output": []}

    answer = answered(
        "openai_responses",
        {"type": "response.created", "response": {"id": "r", "model": "m-1"}},
        said("Hi."),
        {"type": "response.completed", "response": {**last, "usage": usage}},
        "[DONE]",
    )

    assert (answer.text, answer.finish) == ("Hi.", "stop")
    assert answer.provenance.served_model == "m-2"
    assert answer.usage == Usage(input_tokens=5, output_tokens=2)


def test_gemini_s_thoughts_are_no_text_and_its_last_counts_hold() -> None:
    counts = {"promptTokenCount": 5, "totalTokenCount": 5}
    last = {**counts, "candidatesTokenCount": 2, "totalTokenCount": 7}

    answer = answered(
        "gemini",
        {**part("Hm.", thought=True), "usageMetadata": counts},
        part("Hi "),
        {"candidates": [{**part("No.")["candidates"][0], "index": 1}]},
        {**part("there.", "STOP"), "usageMetadata": last},
    )

    assert (answer.text, answer.finish) == ("Hi there.", "stop")
    assert answer.usage == Usage(input_tokens=5, output_tokens=2)


ERROR = {"message": "Overloaded.", "code": "overloaded"}
TROUBLES: dict[str, tuple[object, object]] = {
    "openai_chat": (chunk({"content": "Use"}), {"error": ERROR}),
    "openrouter": (chunk({"content": "Use"}), chunk({}, "error", error=ERROR)),
    "openai_responses": (
        said("Use"),
        {"type": "response.failed", "response": {"status": "failed", "error": ERROR}},
    ),
    "anthropic": (text_delta("Use"), {"type": "error", "error": ERROR}),
    "gemini": (part("Use"), {"error": ERROR}),
}


@pytest.mark.parametrize("api", WIRES)
def test_an_error_ends_a_reply_and_leaves_its_text(api: str) -> None:
    began, error = TROUBLES[api]

    reply = broken_off(api, began, error)
    alone = broken_off(api, error)

    assert not reply.is_whole
    assert read(api, reply).text == "Use"
    with pytest.raises(ExpertUnavailableError, match="Overloaded") as caught:
        read(api, alone)
    assert caught.value.billed == "unknown"


@pytest.mark.parametrize("code", [400, 429, 500])
@pytest.mark.parametrize("api", ["openai_chat", "openrouter", "gemini"])
def test_an_error_after_thoughts_may_be_billed_whatever_its_code(
    api: str, code: int
) -> None:
    error = {"error": {"message": "No.", "code": code}}
    thought = (
        part("Hm.", thought=True) if api == "gemini" else chunk({"reasoning": "Hm."})
    )

    with pytest.raises(ExpertError, match=f"HTTP {code}") as caught:
        read(api, broken_off(api, thought, error))

    assert caught.value.billed == "unknown"


def test_a_choice_s_own_error_counts_as_well_as_one_without_a_word() -> None:
    failed = chunk({})
    failed["choices"][0] |= {"error": ERROR}

    named = broken_off("openai_chat", failed)
    mute = broken_off("openrouter", chunk({"reasoning": "Hm."}, "error"))

    with pytest.raises(ExpertUnavailableError, match="Overloaded"):
        read("openai_chat", named)
    with pytest.raises(ExpertUnavailableError, match="no reason given"):
        read("openrouter", mute)


def test_an_event_named_error_is_one() -> None:
    reply = wire_for("openai_chat").gather()

    with pytest.raises(ValueError, match="broke off"):
        reply.add(event({"message": "Out of memory."}, "error"))


@pytest.mark.parametrize("api", WIRES)
@pytest.mark.parametrize("data", ["", "{", "[]", "5", "null", "[" * 100_000])
def test_what_is_no_json_object_is_no_piece(api: str, data: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the JSON library's own words
        wire_for(api).gather().add(event(data))


@pytest.mark.parametrize(
    ("api", "piece"),
    [
        ("openai_chat", chunk({"content": 5})),
        ("openai_responses", {"type": "response.output_text.delta", "delta": None}),
        ("anthropic", text_delta(5)),  # pyright: ignore[reportArgumentType]
        ("gemini", part(5)),
    ],
)
def test_a_text_that_is_none_is_no_piece(api: str, piece: object) -> None:
    with pytest.raises(ValueError, match="a text that is none"):
        gathered(api, piece)


NAMES = st.sampled_from(
    [
        "choices",
        "delta",
        "content",
        "finish_reason",
        "index",
        "usage",
        "error",
        "message",
        "type",
        "text",
        "code",
        "response",
        "output",
        "candidates",
        "parts",
        "finishReason",
        "usageMetadata",
        "promptFeedback",
        "blockReason",
        "stop_reason",
        "content_block",
        "status",
        "thought",
        "model",
        "refusal",
    ]
)
WORDS = st.sampled_from(
    [
        "message_start",
        "message_delta",
        "message_stop",
        "content_block_start",
        "text_delta",
        "text",
        "content_block_delta",
        "error",
        "response.completed",
        "response.failed",
        "stop",
        "response.created",
        "response.output_text.delta",
        "STOP",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
    ),
    max_leaves=12,
)
PIECES = st.dictionaries(NAMES, TREES, max_size=5)


@pytest.mark.parametrize("api", WIRES)
@given(pieces=st.lists(PIECES, max_size=6))
def test_whatever_comes_is_an_answer_or_an_error_of_ours(
    api: str, pieces: list[dict[str, Any]]
) -> None:
    reply = wire_for(api).gather()
    for piece in pieces:
        try:
            reply.add(event(piece))
        except ValueError:
            break

    try:
        answer = read(api, reply)
    except ExpertError:
        return

    assert answer.finish in get_args(Finish)
    assert answer.usage.output_tokens >= 0
