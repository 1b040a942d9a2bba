import pytest

from ask_expert.confidence.answers.comparing import Comparison, Kind, detect

pytestmark = pytest.mark.anyio

CODE = "```python\ndef f():\n    return 1\n```"


class Judge:
    """Says that two answers are the same when both begin alike."""

    def __init__(self, *, only_forwards: bool = False) -> None:
        self.asked: list[tuple[str, str]] = []
        self._only_forwards = only_forwards

    async def says(self, first: str, second: str) -> bool:
        self.asked.append((first, second))
        alike = first.split(maxsplit=1)[0] == second.split(maxsplit=1)[0]
        return alike and not (self._only_forwards and first > second)


async def nobody(first: str, second: str) -> bool:
    raise AssertionError(f"a judge was asked about {first!r} and {second!r}")


@pytest.mark.parametrize(
    ("question", "replies", "kind"),
    [
        ("2 + 2?", ["Answer: 4", "Answer: 4 apples", "It is five, I guess"], "number"),
        ("Which?\nA) one\nB) two", ["Answer: A", "B)"], "choice"),
        ("Write f.", [CODE, CODE, "I cannot"], "code"),
        ("Capital?", ["Answer: Paris", "paris"], "short_text"),
        ("Why?", ["word " * 30, "other " * 30], "free_text"),
        ("Why?", [], "free_text"),
    ],
)
async def test_the_kind_is_what_most_replies_are(
    question: str, replies: list[str], kind: Kind
) -> None:
    assert detect(question, replies) == kind


async def test_same_answers_share_a_group_and_unread_ones_have_none() -> None:
    how = Comparison(kind="number", given=True)

    groups = await how.groups(["#### 4", "none", None, "4.0", "5"], nobody)

    assert groups == (0, None, None, 0, 1)


async def test_free_text_is_judged_both_ways() -> None:
    how = Comparison(kind="free_text", given=False)
    judge, half = Judge(), Judge(only_forwards=True)
    replies = ["locks a", "locks b", "queues c", "locks a", None, "<think>x</think>"]

    both = await how.groups(replies, judge.says)
    one_way = await how.groups(replies, half.says)

    assert both == (0, 0, 1, 0, None, None)
    assert one_way == (0, 1, 2, 0, None, None)
    assert ("locks a", "locks b") in judge.asked
    assert ("locks b", "locks a") in judge.asked
    assert ("locks a", "locks a") not in judge.asked


async def test_code_is_grouped_by_behaviour_where_that_is_given() -> None:
    how = Comparison(
        kind="code", given=True, behaviour=lambda reply: reply[0] if reply else None
    )

    assert await how.groups(["ab", "ac", "b", ""], nobody) == (0, 0, 1, None)
