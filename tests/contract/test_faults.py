"""
Every way in which a provider fails, over every wire.

Each row says which error it becomes, whether it can be billed, whether it is tried
again, and the words by which a person can act on it.
"""

from dataclasses import dataclass, field

import httpx2
import pytest

from ask_expert.errors import (
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts.retry import wait_s
from ask_expert.settings import ExpertSettings
from tests.contract.support import MODELS, VARIABLES, ask, at
from tests.experts.support import KEY, dice
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour, Wire

pytestmark = pytest.mark.anyio
WIRES = list(MODELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What happens, and what is to come of it; `{}` stands for the key's variable."""

    meets: Behaviour
    kind: type[ExpertError]
    billed: str = "no"
    again: bool = False
    says: str
    wires: tuple[Wire, ...] = field(default=tuple(WIRES))


def _refused(status: int, says: str) -> Row:
    return Row(meets=Behaviour(status=status), kind=ExpertRejectedError, says=says)


def _passing(status: int, says: str) -> Row:
    return Row(
        meets=Behaviour(status=status),
        kind=ExpertUnavailableError,
        again=True,
        says=says,
    )


def _broken(meets: Behaviour, says: str) -> Row:
    return Row(meets=meets, kind=ExpertReplyError, billed="unknown", says=says)


LATER = "ask again later"
MAYBE = "it may have been billed"
ROWS = {
    "400": _refused(400, "Check `model`, `effort` and `extra_body` in settings.yaml"),
    "401": _refused(401, "Check the key in {}"),
    "402": _refused(402, "no credit left"),
    "403": _refused(403, "The key in {} may not use model"),
    "404": _refused(404, "and `base_url` in settings.yaml"),
    "409": _passing(409, LATER),
    "413": _refused(413, "fewer files or less context"),
    "429": _passing(429, "Too many requests at the moment"),
    "500": _passing(500, LATER),
    "502": _passing(502, LATER),
    "503": _passing(503, LATER),
    "529": _passing(529, LATER),
    "a page in place of an error": Row(
        meets=Behaviour(status=502, fault="html"),
        kind=ExpertUnavailableError,
        billed="unknown",
        says="It may have been billed",
    ),
    "invalid JSON": _broken(Behaviour(fault="invalid_json"), MAYBE),
    "a page in place of an answer": _broken(
        Behaviour(fault="html"), "check `base_url` in settings.yaml"
    ),
    "an empty body": _broken(Behaviour(fault="empty"), "is empty; it may have been"),
    "an empty answer": _broken(Behaviour(fault="empty_choices"), MAYBE),
    "an end in the middle": _broken(Behaviour(fault="cut"), "the connection broke"),
    "a reset": _broken(Behaviour(fault="reset"), "the connection broke"),
    "a gzip bomb": _broken(Behaviour(fault="gzip_bomb"), "larger than 8,000,000 bytes"),
    "a huge body": _broken(Behaviour(fault="huge"), "larger than 8,000,000 bytes"),
    "an error with status 200": Row(
        meets=Behaviour(fault="error_in_success"),
        kind=ExpertUnavailableError,
        billed="unknown",
        says="The provider says 502",
        wires=("openai_chat", "gemini", "openrouter"),
    ),
    "an answer that is an error": Row(
        meets=Behaviour(finish="failed"),
        kind=ExpertUnavailableError,
        billed="unknown",
        says="the provider failed while it worked",
        wires=("openai_responses",),
    ),
    "a choice that broke off": Row(
        meets=Behaviour(fault="error_in_choice", code="429"),
        kind=ExpertUnavailableError,
        billed="unknown",
        says="The provider says 429",
        wires=("openai_chat", "openrouter"),
    ),
    "Gemini's wrong key": Row(
        meets=Behaviour(status=400, code="API_KEY_INVALID"),
        kind=ExpertRejectedError,
        says="Check the key in {}",
        wires=("gemini",),
    ),
    "Gemini's daily quota": Row(
        meets=Behaviour(status=429, code="daily_quota", retry_after="30"),
        kind=ExpertRejectedError,
        says="Today's quota is used up",
        wires=("gemini",),
    ),
    "OpenAI's spent credit": Row(
        meets=Behaviour(status=429, code="credit_balance_exhausted"),
        kind=ExpertRejectedError,
        says="no credit left",
        wires=("openai_chat", "openai_responses"),
    ),
    "Anthropic's spend limit": Row(
        meets=Behaviour(status=429, code="enforced_spend_limit_reached"),
        kind=ExpertRejectedError,
        says="spend limit is reached",
        wires=("anthropic",),
    ),
    "OpenRouter's money in flight": Row(
        meets=Behaviour(
            status=402, code="openrouter_in_flight_budget", retry_after="3"
        ),
        kind=ExpertUnavailableError,
        again=True,
        says="in flight",
        wires=("openrouter",),
    ),
    "OpenRouter's spent key": Row(
        meets=Behaviour(status=403, code="openrouter_key_limit"),
        kind=ExpertRejectedError,
        says="spend limit is reached",
        wires=("openrouter",),
    ),
}
CASES = [
    pytest.param(wire, row, stream, id=f"{wire}-{name}-{stream}")
    for name, row in ROWS.items()
    for wire in row.wires
    for stream in (True, False)
    if stream or row.meets.status == 200  # an error status is never a stream
]


async def failure(
    client: httpx2.AsyncClient, expert: ExpertSettings, *, deadline_s: float = 30
) -> ExpertError:
    with pytest.raises(ExpertError) as caught:
        await ask(client, expert, deadline_s=deadline_s)
    return caught.value


def check(error: ExpertError, row: Row, wire: Wire) -> None:
    """Compare one error with what it is to be."""
    sentence = str(error)
    assert type(error) is row.kind, sentence
    assert error.billed == row.billed
    assert (wait_s(error, 1, dice()) is not None) == row.again
    assert row.says.format(VARIABLES[wire]) in sentence
    assert sentence.startswith("flagship: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 400
    assert KEY not in repr(error) + repr(error.__cause__)


@pytest.mark.parametrize(("wire", "row", "stream"), CASES)
async def test_a_fault_becomes_one_error_that_a_person_can_act_on(
    client: httpx2.AsyncClient,
    provider: Provider,
    wire: Wire,
    row: Row,
    *,
    stream: bool,
) -> None:
    provider.script(row.meets)

    error = await failure(client, at(provider, wire, stream=stream))

    check(error, row, wire)
    assert len(provider.requests) == 1
    assert row.billed == "unknown" or provider.bill == []


@pytest.mark.parametrize("wire", WIRES)
async def test_a_server_that_drips_for_ever_meets_the_deadline(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.script(Behaviour(fault="slow_loris"))

    error = await failure(client, at(provider, wire), deadline_s=0.3)

    row = _broken(Behaviour(), "no reply within 0.3 s; it may have been billed")
    check(error, row, wire)


@pytest.mark.parametrize("wire", WIRES)
async def test_a_redirect_does_not_take_the_key_to_another_host(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    with Provider() as elsewhere:
        provider.script(Behaviour(fault="redirect", location=elsewhere.url))

        error = await failure(client, at(provider, wire))

    check(error, _refused(307, "Set `base_url` to the final address"), wire)
    assert (elsewhere.requests, provider.bill) == ([], [])


@pytest.mark.parametrize("wire", WIRES)
async def test_the_wait_that_a_provider_asks_for_is_obeyed(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.fail(429, retry_after="7")
    provider.fail(429, retry_after="500")

    soon = await failure(client, at(provider, wire))
    late = await failure(client, at(provider, wire))

    assert wait_s(soon, 1, dice()) == 7
    assert wait_s(late, 1, dice()) is None


@pytest.mark.parametrize("wire", WIRES)
async def test_a_provider_s_clock_that_is_years_off_changes_no_wait(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    now, soon = "Tue, 01 Jan 2036 00:00:00 GMT", "Tue, 01 Jan 2036 00:00:07 GMT"
    provider.fail(429, date=now, retry_after=soon)
    provider.fail(429, date=now, retry_after="Thu, 01 Jan 1970 00:00:00 GMT")
    provider.answer("Use a lock.", date="Thu, 01 Jan 1970 00:00:00 GMT")

    error = await failure(client, at(provider, wire))
    past = await failure(client, at(provider, wire))
    answer = await ask(client, at(provider, wire))

    assert wait_s(error, 1, dice()) == 7
    assert (wait_s(past, 1, dice()) or 0) < 60
    assert answer.text == "Use a lock."


@pytest.mark.parametrize("wire", WIRES)
async def test_a_wrong_key_is_named_by_its_variable_and_never_shown(
    client: httpx2.AsyncClient, wire: Wire
) -> None:
    with Provider(key="another") as provider:
        error = await failure(client, at(provider, wire))

    check(error, _refused(401, "Check the key in {}"), wire)
