import importlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.redaction import (
    Marks,
    Masker,
    assignments,
    entropy,
    known,
    marks,
    shapes,
    spans,
    values,
)
from ask_expert.redaction.rules import prefix_rules
from tests.redaction.samples import EXAMPLES, fill, seeded

# The private parser of `re` is the only one that knows its grammar.
sre: Any = importlib.import_module("re._constants")
sre_parser: Any = importlib.import_module("re._parser")
REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)
TEMPLATES = [(kind, form) for kind, forms in EXAMPLES.items() for form in forms]
MODULES = (assignments, entropy, known, marks, shapes, spans, values)
PATTERNS = {rule.name: rule.source for rule in prefix_rules()} | {
    f"{module.__name__}.{name}": source
    for module in MODULES
    for name, source in vars(module).items()
    if name.endswith("_RE")
}
EDGES = [
    "\\n",
    "\\t",
    "%22",
    "%3D",
    "\\u0022",
    "\\u003d",
    "\x1b[31m",
    "\\\\n",
    "«",
    "»",
]
BETWEEN = st.one_of(
    st.sampled_from(EDGES),
    st.text(max_size=12).filter(
        lambda text: not re.search("[A-Za-z0-9_-]$|^[A-Za-z0-9_+/=.~-]|«SECRET", text)
    ),
)


def test_there_are_rules_for_many_kinds_and_examples_for_all() -> None:
    names = [rule.name for rule in prefix_rules()]

    assert len(names) >= 45
    assert len(set(names)) == len(names)
    assert set(names) == set(EXAMPLES)
    assert all(EXAMPLES.values())


@pytest.mark.parametrize(("kind", "template"), TEMPLATES)
def test_a_token_is_masked_whole_and_named_by_its_kind(
    kind: str, template: str, masker: Masker, masked: Callable[[str], str]
) -> None:
    text, parts = fill(template, seeded(7))

    result = masked(f"before {text} after")

    assert f"«SECRET:{kind}:1»" in result
    assert parts
    assert [part for part in parts if part in result] == []
    assert masker.scan(json.dumps({"content": text}).encode()) == (kind,)
    assert masker.scan(json.dumps({"content": result}).encode()) == ()


@given(
    st.sampled_from(TEMPLATES),
    st.integers(min_value=0),
    BETWEEN,
    BETWEEN,
    st.booleans(),
)
def test_a_token_never_survives_whatever_stands_around_it(
    example: tuple[str, str], seed: int, before: str, after: str, ascii_only: bool
) -> None:
    masker = Masker()
    text, parts = fill(example[1], seeded(seed))

    result = masker.mask(before + text + after, Marks(key=b"home"))

    assert [part for part in parts if part in result] == []
    assert masker.scan(serialized(before + text + after, ascii_only=ascii_only))
    assert not masker.scan(serialized(result, ascii_only=ascii_only))


def test_tokens_written_one_right_after_the_other_are_all_masked(
    masked: Callable[[str], str],
) -> None:
    many = "".join(fill("AKIA{U16}", seeded(seed))[0] for seed in range(50))

    result = masked(many)

    assert result.count("«SECRET:aws_access_key:") == 50
    assert "AKIA" not in result


def test_the_documented_example_key_is_an_aws_access_key(
    masked: Callable[[str], str],
) -> None:
    result = masked("why does my asyncio.gather hang? AKIAIOSFODNN7EXAMPLE")

    assert result == "why does my asyncio.gather hang? «SECRET:aws_access_key:1»"


@pytest.mark.parametrize("source", PATTERNS.values(), ids=PATTERNS.keys())
def test_no_pattern_repeats_a_repetition_without_bound(source: str) -> None:
    assert list(nested_repeats(sre_parser.parse(source), inside=False)) == []


@pytest.mark.parametrize("source", PATTERNS.values(), ids=PATTERNS.keys())
def test_a_pattern_that_can_fail_late_has_at_most_one_unbounded_run_before(
    source: str,
) -> None:
    """A second run after the first is only safe behind a separator the first excludes."""
    runs = [run for run in unbounded_runs(sre_parser.parse(source)) if run]

    assert all(not run_matches(first, separator) for first, separator in runs)


def test_the_checker_of_patterns_knows_a_bad_one() -> None:
    assert list(nested_repeats(sre_parser.parse("(?:a+b?)+c"), inside=False))
    assert list(nested_repeats(sre_parser.parse("x(?:a*|b)*"), inside=False))
    assert not list(nested_repeats(sre_parser.parse("(?:a{1,9}b)+c+"), inside=False))
    ((first, separator),) = unbounded_runs(sre_parser.parse("k[a-z.]+[.]x"))
    assert run_matches(first, separator)


def serialized(text: str, *, ascii_only: bool) -> bytes:
    body = {"messages": [{"role": "user", "content": text}]}
    return json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def nested_repeats(node: Any, *, inside: bool) -> Iterator[Any]:
    """Yield the unbounded repeats that stand inside an unbounded repeat."""
    for operation, argument in node:
        unbounded: bool = operation in REPEATS and argument[1] == sre.MAXREPEAT
        if unbounded and inside:
            yield argument
        for child in children(argument):
            yield from nested_repeats(child, inside=inside or unbounded)


def unbounded_runs(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (repeated item, the item required after it) for every unbounded repeat."""
    items = list(node)
    for index, (operation, argument) in enumerate(items):
        if (
            operation in REPEATS
            and argument[1] == sre.MAXREPEAT
            and index + 1 < len(items)
        ):
            yield argument[2], items[index + 1]
        for child in children(argument):
            yield from unbounded_runs(child)


def run_matches(repeated: Any, following: tuple[Any, Any]) -> bool:
    """Return whether the run could swallow the separator that must follow it."""
    operation, argument = following
    if operation != sre.LITERAL:
        return operation not in (sre.MAX_REPEAT, sre.AT, sre.ASSERT, sre.ASSERT_NOT)
    (inner,) = repeated
    if inner[0] != sre.IN:
        return inner == following
    return any(
        (kind is sre.LITERAL and value == argument)
        or (kind is sre.RANGE and value[0] <= argument <= value[1])
        for kind, value in inner[1]
    )


def children(argument: Any) -> Iterator[Any]:
    """Yield the sub-patterns in an operation's argument, however it nests them."""
    if isinstance(argument, sre_parser.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for part in cast("list[Any]", argument):
            yield from children(part)
