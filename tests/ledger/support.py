"""Questions and tries for tests of the ledger."""

from collections.abc import Sequence

from ask_expert.budget import FOREVER_US, Cap
from ask_expert.ledger.records import QuestionRecord, TryRequest, new_id
from ask_expert.money import NANO
from ask_expert.question import Caller
from ask_expert.reply import Charge, ExpertAnswer, Provenance, Usage

CALLER = Caller(session="s_1", project="/work", user="ada", agent="test")
NOW = 1_800_000_000_000_000
HOUR = 3_600_000_000
OWNER = "elsewhere:1:1"


def cap(nusd: int | None, **more: object) -> Cap:
    fields: dict[str, object] = {"scope": "total", "end_us": FOREVER_US, **more}
    return Cap(nusd=nusd, **fields)  # pyright: ignore[reportArgumentType]


def question(key: str | None = None, **more: object) -> QuestionRecord:
    fields: dict[str, object] = {
        "id": new_id("q"),
        "created_us": NOW,
        "caller": CALLER,
        "task": "t_1",
        "thread": new_id("c"),
        "key": key,
        "status": "pending",
        "action": "escalate",
        "rule": "always",
        **more,
    }
    return QuestionRecord(**fields)  # pyright: ignore[reportArgumentType]


def request(
    nusd: int, caps: Sequence[Cap] = (), *, least: int | None = None, **more: object
) -> TryRequest:
    fields: dict[str, object] = {
        "escalation_id": new_id("e"),
        "position": 0,
        "number": 1,
        "expert": "flagship",
        "model": "some-model",
        "template": "advise 1",
        "caps": tuple(caps),
        "want_nusd": nusd,
        "least_nusd": nusd if least is None else least,
        "price_source": "settings",
        "input_bound_tokens": 10,
        "sent_us": NOW,
        "lease_us": NOW + HOUR,
        "owner": OWNER,
        **more,
    }
    return TryRequest(**fields)  # pyright: ignore[reportArgumentType]


def tokens(nusd: int) -> int:
    return nusd // 1000


ANSWER = ExpertAnswer(
    text="Hold the lock.",
    usage=Usage(input_tokens=100, output_tokens=20),
    provenance=Provenance(asked_model="some-model", served_model="some-model-1"),
)


def charge(nusd: int) -> Charge:
    return Charge(nusd=nusd, source="settings", detail={"output": "10"})


CENT = NANO // 100
