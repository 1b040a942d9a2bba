import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.redaction import Marks, Masker
from tests.redaction.samples import EXAMPLES, fill, seeded

SCRAPS = st.sampled_from(
    [
        "password = ",
        'token="',
        "API_KEY=",
        "Authorization: Bearer ",
        "Cookie: a=",
        "postgres://u:",
        "@host/db ",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----",
        "«SECRET:",
        "«SECRET:jwt:1»",
        ":1»",
        "\\u0041",
        "\\/",
        "\\n",
        "\n",
        '"',
        "😀",
        "\ud83d",
        "machine a login b password ",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    ]
)
FORMS = [form for forms in EXAMPLES.values() for form in forms]
TOKENS = st.tuples(st.sampled_from(FORMS), st.integers(0, 50)).map(
    lambda made: fill(made[0], seeded(made[1]))[0]
)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
TEXTS = st.lists(st.one_of(SCRAPS, TOKENS, ANY_TEXT), max_size=12).map("".join)
KNOWN = {"MY_API_KEY": 'a/b"c+d 1234', "DB_PASS": "swordfish-sunday"}


def marks() -> Marks:
    return Marks(key=b"home")


@given(TEXTS)
def test_masking_twice_is_masking_once(text: str) -> None:
    masker = Masker(known=KNOWN)
    once = masker.mask(text, marks())

    assert masker.mask(once, marks()) == once
    assert masker.scrub(once) == once


@given(st.lists(TEXTS, min_size=1, max_size=3), st.booleans())
def test_a_body_of_masked_texts_never_raises_an_alarm(
    texts: list[str], ascii_only: bool
) -> None:
    masker = Masker(known=KNOWN)
    used = marks()
    safe = [masker.mask(text, used) for text in texts]
    body = {"input": [{"role": "user", "content": text} for text in safe]}

    data = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    assert masker.scan(data) == ()


@given(TEXTS, st.sampled_from(sorted(KNOWN.items())), TEXTS, st.booleans())
def test_an_unmasked_known_value_is_always_found(
    before: str, secret: tuple[str, str], after: str, ascii_only: bool
) -> None:
    text = f"{before.replace('«', '<')}{secret[1]}{after}"

    data = json.dumps({"a": [text]}, ensure_ascii=ascii_only)

    masker = Masker(known=KNOWN)
    assert secret[0] in masker.scan(data.encode("utf-8", "surrogatepass"))
    assert secret[1] not in masker.mask(text, marks())


def test_the_same_secret_has_the_same_mark_in_every_text_of_a_question() -> None:
    masker, used = Masker(), marks()
    one, other = (fill("ghp_{A36}", seeded(seed))[0] for seed in (1, 2))

    masked = [masker.mask(text, used) for text in (f"{one} {other}", f"token: {other}")]

    assert masked == [
        "«SECRET:github_pat:1» «SECRET:github_pat:2»",
        "token: «SECRET:github_pat:2»",
    ]
    assert (used.count, used.kinds) == (2, ("github_pat",))


def test_a_secret_in_web_safe_json_escapes_is_masked() -> None:
    escaped = (
        "AccountName=a;AccountKey\\u003dAbCd0123\\/" + "aB3d" * 19 + "aB\\u003d\\u003d"
    )

    masked = Masker().mask(f'"{escaped};x"', marks())

    assert masked.count("«SECRET:") == 1
    assert "aB3d" not in masked
    assert masked.endswith(';x"')


def test_look_alikes_that_are_allowed_stay() -> None:
    masker = Masker(allow=[r"AKIA\w*EXAMPLE", r"password = 'fixture\w*'"])
    text = "AKIAIOSFODNN7EXAMPLE, password = 'fixture1'"

    assert masker.mask(text, marks()) == text
    assert masker.scan(json.dumps(text).encode()) == ()
    assert "«SECRET:" in masker.mask("AKIAIOSFODNN7EXAMPLF", marks())


def test_a_secret_that_poses_as_a_mark_is_masked() -> None:
    token = fill("ghp_{A36}", seeded(1))[0]

    masked = Masker().mask(f"«SECRET:{token}:1»", marks())

    assert token not in masked


def test_a_log_line_gets_marks_without_numbers() -> None:
    assert Masker().scrub("k=AKIAIOSFODNN7EXAMPLE") == "k=«SECRET:aws_access_key»"


def test_a_log_line_beyond_all_measure_is_cut_not_refused() -> None:
    scrubbed = Masker().scrub("AKIAIOSFODNN7EXAMPLE " + "word " * 1_000_000)

    assert scrubbed.startswith("«SECRET:aws_access_key» word")
    assert scrubbed.endswith("characters left out)")


def test_a_megabyte_is_masked_and_more_than_four_are_refused() -> None:
    masker = Masker(known=KNOWN)
    line = "for index, value in enumerate(values): print(index, value)\n"
    text = line * (1_000_000 // len(line)) + "AKIAIOSFODNN7EXAMPLE"

    assert masker.mask(text, marks()).endswith("\n«SECRET:aws_access_key:1»")
    with pytest.raises(ValueError, match="too many to mask"):
        masker.mask("x" * (4 * 1024 * 1024 + 1), marks())


@pytest.mark.parametrize("text", ["😀" * 50, "\ud83d", "a\udc80b", "\0", "", "\ufeff"])
def test_odd_characters_pass_unchanged(text: str) -> None:
    masker = Masker(known=KNOWN)

    assert masker.mask(text, marks()) == text
    assert masker.scrub(text) == text
    for ascii_only in (True, False):
        data = json.dumps(text, ensure_ascii=ascii_only).encode(
            "utf-8", "surrogatepass"
        )
        assert masker.scan(data) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe AKIAIOSFODNN7EXAMPLE",
        b'{"a": "AKIAIOSFODNN7EXAMPLE"',
        b"[" * 100_000 + b'"AKIAIOSFODNN7EXAMPLE"',
        b'{"a": ' + b"1" * 10_000 + b', "b": "AKIAIOSFODNN7EXAMPLE"}',
        b'data: {"a": "\\u0041KIAIOSFODNN7EXAMPLE"}\n\ndata: x',
    ],
)
def test_bytes_that_are_no_json_are_searched_all_the_same(data: bytes) -> None:
    assert Masker().scan(data) == (("aws_access_key",) if data else ())


def test_a_fresh_import_reads_no_rules_and_compiles_no_pattern() -> None:
    program = (
        "import ask_expert.redaction as r, sys\n"
        "from ask_expert.redaction import rules, spans\n"
        "before = rules.prefix_rules.cache_info().misses, "
        "spans.pattern.cache_info().misses\n"
        "r.Masker().scrub('x'); r.Masker()\n"
        "print(before, rules.prefix_rules.cache_info().misses, 'pydantic' in sys.modules)"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "(0, 0) 1 False"
