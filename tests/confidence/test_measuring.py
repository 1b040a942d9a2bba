"""The assess step against a vLLM on loopback that says what a test tells it to."""

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from threading import Event

import pytest

from ask_expert.confidence.measured import Measured
from ask_expert.confidence.measuring import DECIDED, CanChange, Plan, Step
from ask_expert.confidence.signals.registry import SIGNALS
from ask_expert.confidence.sitting import Problem, Sitting
from ask_expert.experts.http import new_client
from ask_expert.local.client import LocalModel
from ask_expert.local.probe import probed
from ask_expert.policy.facts import KNOWN_FACTS
from ask_expert.question import Facts
from tests.local.fake_model import serving
from tests.local.fake_vllm import FakeVllm

pytestmark = pytest.mark.anyio

Turns = list[dict[str, str]]
QUESTION = "A farmer has 17 sheep and all but 9 run away. How many are left to him?"


def always(facts: Facts, pending: Collection[str]) -> bool:
    return bool(pending) or not facts


class Run:
    """One assess step, and what came of it."""

    def __init__(self, fake: FakeVllm, tmp_path: Path, **plan: object) -> None:
        self.fake = fake
        self.home = tmp_path
        self.names: Sequence[str] = [*SIGNALS]
        self.problem = Problem(text=QUESTION, draft=None)
        self.max_tokens = 100_000
        self.max_seconds = 60.0
        self.samples = 5
        self.second: str | None = "other"
        self.can_change: CanChange = always
        self.clock_s: Callable[[], float] | None = None
        self.url: str | None = None
        for name, value in plan.items():
            setattr(self, name, value)
        self.sitting: Sitting | None = None

    async def found(self) -> dict[str, Measured]:
        with serving(self.fake.model()) as server:
            async with new_client() as client:
                return await self._found(client, self.url or server.url)

    async def _found(self, client: object, url: str) -> dict[str, Measured]:
        first, second = (
            LocalModel(client, base_url=url, model=name)  # pyright: ignore[reportArgumentType]
            for name in ("tiny", self.second or "")
        )

        async def sit() -> Sitting:
            return Sitting(
                problem=self.problem,
                model=first,
                can=await probed(first, home=self.home),
                samples=self.samples,
                max_tokens=self.max_tokens,
                second=second if self.second else None,
            )

        plan = Plan(
            signals=self.names,
            max_seconds=self.max_seconds,
            can_change=self.can_change,
        )
        step = Step(plan=plan, sit=sit, clock_s=self.clock_s or first.clock_s)
        found = await step.run({})
        self.sitting = step.sitting
        return {each.name: each for each in found}

    async def value(self, name: str) -> float | None:
        return (await self.found())[name].value

    async def why(self, name: str) -> str:
        found = (await self.found())[name]
        assert found.value is None
        return str(found.why_absent)


def last(turns: Turns) -> str:
    return turns[-1]["content"]


def clever(turns: Turns, number: int) -> str:
    """Solve every problem, defend it, reword it and move with a changed assumption."""
    del number
    if "Reply with one word" in last(turns):
        return "yes"
    if "other words" in last(turns):
        return "Nine of seventeen sheep stay."
    if "Change one assumption" in last(turns):
        return "All but 8 run away."
    return "Answer: 8" if "All but 8" in last(turns) else "Answer: 9"


def silent(turns: Turns, number: int) -> str:
    del number
    return "" if "sheep" in last(turns) else "Blue"


def yes_no(token: str) -> list[tuple[str, float]]:
    others = [("yes", math.log(0.6)), ("no", math.log(0.2))]
    return others if token == "yes" else [(token, -0.5), ("other", -1.5)]


def test_every_signal_is_a_fact_that_says_it_is_measured() -> None:
    measured = {name for name, kind in KNOWN_FACTS.items() if kind.measured}

    assert set(SIGNALS) == measured


async def test_a_sure_and_clever_model_gets_every_signal(tmp_path: Path) -> None:
    draft = Problem(text=QUESTION, draft="Answer: 9")
    fake = FakeVllm(reply=clever, alternatives=yes_no)
    run = Run(fake, tmp_path, problem=draft)

    found = await run.found()

    assert {
        name: each.why_absent for name, each in found.items() if each.why_absent
    } == {}
    assert {name: each.value for name, each in found.items()} == {
        "mean_logprob": -0.5,
        "min_logprob": -0.5,
        "low_logprob": -0.5,
        "logprob_margin": 1.0,
        "token_entropy": pytest.approx(0.582203108),
        "lowest_group": 1.0,
        "tail_confidence": 1.0,
        "p_true": pytest.approx(0.75),
        "draft_logprob": -0.5,
        "self_verification": 1.0,
        "vote_share": 1.0,
        "vote_entropy": 0.0,
        "vote_margin": 1.0,
        "style_agreement": 1.0,
        "model_agreement": 1.0,
        "follow_up": 1.0,
        "paraphrase_agreement": 1.0,
        "changed_assumption": 1.0,
    }
    assert run.sitting is not None
    assert sum(each.tokens for each in found.values()) == run.sitting.tokens
    assert fake.hits / fake.queries > 0.3


async def test_an_answer_learnt_by_heart_does_not_move(tmp_path: Path) -> None:
    fake = FakeVllm(
        reply=lambda turns, number: (
            "All but 8 run away." if "Change one" in last(turns) else "Answer: 17"
        )
    )

    assert await Run(fake, tmp_path).value("changed_assumption") == 0.0


async def test_sampling_stops_where_further_answers_cannot_matter(
    tmp_path: Path,
) -> None:
    fake = FakeVllm()

    await Run(fake, tmp_path, names=["vote_share"], samples=40).found()

    assert fake.asked[-1]["n"] == 4


async def test_a_tie_is_a_share_without_margin(tmp_path: Path) -> None:
    fake = FakeVllm(reply=lambda turns, number: f"Answer: {number % 2}")
    run = Run(fake, tmp_path, names=["vote_share", "vote_margin"], samples=4)

    found = await run.found()

    assert (found["vote_share"].value, found["vote_margin"].value) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("fake", "plan", "name", "why"),
    [
        (FakeVllm(), {"samples": 1}, "vote_share", "one sample alone"),
        (
            FakeVllm(reply=lambda turns, number: "Who knows?"),
            {"problem": Problem(text=QUESTION, kind="number")},
            "vote_share",
            "none of 5 samples holds a whole number",
        ),
        (FakeVllm(finish="length"), {}, "vote_margin", "holds a whole"),
        (FakeVllm(reply=silent), {}, "mean_logprob", "is empty"),
        (
            FakeVllm(reply=lambda turns, number: f"<think> {silent(turns, number)}"),
            {},
            "p_true",
            "is empty",
        ),
        (FakeVllm(), {}, "p_true", "neither yes nor no is among the 2"),
        (FakeVllm(), {}, "draft_logprob", "no draft was handed in"),
        (
            FakeVllm(),
            {"problem": Problem(text=QUESTION, draft="é")},
            "draft_logprob",
            "another text",
        ),
        (FakeVllm(), {}, "self_verification", "no verdict says yes or no"),
        (FakeVllm(), {"second": None}, "model_agreement", "no second local model"),
        (
            FakeVllm(reply=lambda turns, number: QUESTION),
            {},
            "paraphrase_agreement",
            "did not put the problem into other words",
        ),
        (FakeVllm(lacks=["logprobs"]), {}, "min_logprob", "lacks logprobs"),
        (FakeVllm(lacks=["top_logprobs"]), {}, "token_entropy", "lacks top_logprobs"),
        (
            FakeVllm(lacks=["prompt_logprobs", "echo"]),
            {},
            "draft_logprob",
            "prompt_logprobs: it takes no notice of the wish; echo: ",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_measured_is_absent_with_the_reason(
    tmp_path: Path, fake: FakeVllm, plan: dict[str, object], name: str, why: str
) -> None:
    if name == "self_verification":
        fake.lacks = ["guide"]

    assert why in await Run(fake, tmp_path, names=[name], **plan).why(name)


@pytest.mark.parametrize("odd", [None, -math.inf])
async def test_one_token_without_a_log_probability_takes_the_mean_away(
    tmp_path: Path, odd: float | None
) -> None:
    fake = FakeVllm(
        alternatives=lambda token: [(token, odd if token == " 4" else -0.1), ("x", -2)]
    )

    found = await Run(fake, tmp_path, names=["mean_logprob", "lowest_group"]).found()

    assert found["mean_logprob"].why_absent == "a token has no finite log-probability"
    assert found["lowest_group"].why_absent == (
        "a token has fewer than 2 finite alternatives"
    )


async def test_the_draft_is_echoed_where_conversations_cannot_be_read(
    tmp_path: Path,
) -> None:
    fake = FakeVllm(lacks=["prompt_logprobs"])
    draft = Problem(text=QUESTION, draft="Answer: 9")
    run = Run(fake, tmp_path, names=["draft_logprob"], problem=draft)

    assert await run.value("draft_logprob") == pytest.approx(-0.1)


@pytest.mark.parametrize("status", [503, 429])
async def test_a_busy_server_is_asked_once_and_every_signal_says_why(
    tmp_path: Path, status: int
) -> None:
    fake = FakeVllm(status=status)

    found = await Run(fake, tmp_path).found()

    reasons = {each.why_absent for each in found.values()}
    assert len(found) == len(SIGNALS)
    assert len(reasons) == 1
    assert f"HTTP {status} (busy)" in str(reasons.pop())
    assert len(fake.asked) == 1


async def test_a_server_that_gets_busy_ends_the_step_and_what_came_is_kept(
    tmp_path: Path,
) -> None:
    fake = FakeVllm()

    def once(turns: Turns, number: int) -> str:
        fake.status = 503 if "sheep" in last(turns) else 200
        return clever(turns, number)

    fake.reply = once
    found = await Run(fake, tmp_path).found()

    assert [name for name, each in found.items() if each.value is not None] == [
        "mean_logprob",
        "min_logprob",
        "low_logprob",
        "logprob_margin",
        "token_entropy",
        "lowest_group",
        "tail_confidence",
    ]
    assert "busy" in str(found["changed_assumption"].why_absent)
    assert sum("sheep" in str(body) for body in fake.asked) == 2


async def test_a_server_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    run = Run(FakeVllm(), tmp_path, url="http://127.0.0.1:1/v1")

    found = await run.found()

    assert all("ConnectError" in str(each.why_absent) for each in found.values())


async def test_a_slow_server_costs_no_more_than_the_time_allowed(
    tmp_path: Path,
) -> None:
    hold = Event()
    fake = FakeVllm(hold=hold)
    run = Run(fake, tmp_path, max_seconds=0.2)

    try:
        found = await run.found()
    finally:
        hold.set()

    assert {each.why_absent for each in found.values()} == {"the time of 0.2 s is over"}
    assert len(fake.asked) == 1


async def test_an_endless_answer_is_cut_and_the_tokens_stay_within_the_limit(
    tmp_path: Path,
) -> None:
    fake = FakeVllm(reply=lambda turns, number: "on and " * 5000)

    run = Run(fake, tmp_path, max_tokens=1200)
    found = await run.found()

    assert run.sitting is not None
    assert found["mean_logprob"].value == pytest.approx(-0.1)
    assert "holds a whole" in str(found["vote_share"].why_absent)
    assert "the limit of 1,200 tokens is reached" in {
        each.why_absent for each in found.values()
    }
    assert all(body["max_tokens"] <= 512 for body in fake.asked)
    # The prompts are read before their length is known.
    assert run.sitting.tokens < 1200 + 600


async def test_a_question_that_does_not_fit_the_window_is_not_asked(
    tmp_path: Path,
) -> None:
    fake = FakeVllm()
    run = Run(fake, tmp_path, problem=Problem(text=QUESTION * 1000))

    found = await run.found()

    assert found["vote_share"].why_absent == (
        "the question does not fit the window of 8,192 tokens"
    )
    assert not any("sheep" in str(body) for body in fake.asked)


async def test_what_can_no_longer_matter_is_not_measured(tmp_path: Path) -> None:
    fake = FakeVllm()
    seen: list[list[str]] = []

    def until_known(facts: Facts, pending: Collection[str]) -> bool:
        seen.append([*pending])
        return "mean_logprob" not in facts

    run = Run(
        fake,
        tmp_path,
        names=["vote_share", "mean_logprob", "p_true"],
        can_change=until_known,
    )
    found = await run.found()

    assert found["mean_logprob"].value == pytest.approx(-0.1)
    assert found["p_true"].why_absent == found["vote_share"].why_absent == DECIDED
    assert seen == [["mean_logprob", "p_true", "vote_share"], ["p_true", "vote_share"]]


async def test_a_decided_question_asks_nothing_at_all(tmp_path: Path) -> None:
    fake = FakeVllm()

    def never(facts: Facts, pending: Collection[str]) -> bool:
        return not always(facts, pending)

    found = await Run(fake, tmp_path, can_change=never).found()

    assert {each.why_absent for each in found.values()} == {DECIDED}
    assert fake.asked == []
