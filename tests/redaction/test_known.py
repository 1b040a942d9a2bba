import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from ask_expert.redaction import Marks, Masker, secret_environment

VALUE = 'correct/horse+battery "staple" ü'
FORMS = {
    "literal": VALUE,
    "base64": base64.b64encode(VALUE.encode()).decode(),
    "urlsafe base64": base64.urlsafe_b64encode(VALUE.encode()).decode(),
    "percent": quote(VALUE, safe=""),
    "percent, lower case": re.sub(
        "%..", lambda code: code[0].lower(), quote(VALUE, safe="")
    ),
    "JSON": json.dumps(VALUE)[1:-1],
    "JSON in UTF-8": json.dumps(VALUE, ensure_ascii=False)[1:-1],
    "JSON as PHP writes it": json.dumps(VALUE)[1:-1].replace("/", "\\/"),
    "JSON in JSON": json.dumps(json.dumps(VALUE)[1:-1])[1:-1],
}


def marks() -> Marks:
    return Marks(key=b"home")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_known_value_is_masked_in_every_form_under_the_same_mark(form: str) -> None:
    masker = Masker(known={"MY_API_KEY": VALUE})
    used = marks()
    plain = masker.mask(VALUE, used)

    masked = masker.mask(f"x={form}&y", used)

    assert plain == "«SECRET:MY_API_KEY:1»"
    assert masked == "x=«SECRET:MY_API_KEY:1»&y"


@pytest.mark.parametrize("lead", ["", "u", "us", "use", "user:", "longer:user:"])
def test_a_known_value_is_found_inside_a_longer_base64_text(lead: str) -> None:
    value = "swordfish-sunday"
    masker = Masker(known={"DB_PASS": value})
    encoded = base64.b64encode(f"{lead}{value}\n".encode()).decode()

    masked = masker.mask(f"see {encoded} there", marks())
    kinds = masker.scan(json.dumps(f"see {encoded} there").encode())

    assert "«SECRET:DB_PASS:1»" in masked
    assert len(masked.replace("«SECRET:DB_PASS:1»", "")) <= len("see  there") + 18
    assert kinds == ("DB_PASS",)


def test_a_known_value_is_seen_in_a_body_through_any_json_escapes() -> None:
    masker = Masker(known={"MY_API_KEY": VALUE})
    everything = "".join(f"\\u{ord(character):04x}" for character in VALUE)

    bodies = [
        json.dumps({"a": [{"b": VALUE}]}),
        json.dumps({VALUE: 1}),
        json.dumps({"a": VALUE}, ensure_ascii=False),
        json.dumps({"a": VALUE}).replace("/", "\\/"),
        f'{{"a": "{everything}"}}',
        f'{{"a": "{everything}", "a": "a later value of the same key"}}',
        f'not json: "{everything}',
        json.dumps({"inner": json.dumps({"a": VALUE})}),
    ]

    assert [masker.scan(body.encode()) for body in bodies] == [("MY_API_KEY",)] * 8


def test_a_known_value_stays_masked_though_a_pattern_allows_it() -> None:
    masker = Masker(known={"MY_API_KEY": VALUE}, allow=[".*"])

    assert masker.mask(VALUE, marks()) == "«SECRET:MY_API_KEY:1»"


def test_a_known_value_that_hides_in_a_false_mark_is_masked() -> None:
    masker = Masker(known={"MY_API_KEY": "swordfishsunday"})

    assert "swordfish" not in masker.mask("«SECRET:swordfishsunday:1»", marks())


def test_a_known_value_as_short_as_a_word_is_left_alone() -> None:
    masker = Masker(known={"MY_API_KEY": "EMPTY"})

    assert masker.mask("an EMPTY list", marks()) == "an EMPTY list"


def test_a_kind_becomes_a_plain_name() -> None:
    masker = Masker(known={"the key of 'flagship'": "swordfish-sunday"})

    masked = masker.mask("swordfish-sunday", marks())

    assert masked == "«SECRET:the_key_of__flagship_:1»"
    assert masker.mask(masked, marks()) == masked


def test_environment_secrets_are_chosen_by_the_last_part_of_their_name(
    tmp_path: Path,
) -> None:
    long = "0123456789"
    environ = {
        "OPENAI_API_KEY": long,
        "GITHUB_TOKEN": long,
        "CLIENT_SECRET": long,
        "PGPASSWORD": long,
        "DB_PASSWORD": long,
        "smtp_pass": long,
        "PASSWORD": long,
        "SHORT_KEY": "1234567",
        "BLANK_KEY": "          ",
        "SSL_KEY": str(tmp_path),
        "KEY_FILE": long,
        "KEYBOARD": long,
        "TOKENIZERS_PARALLELISM": long,
        "LONG_KEY": "x" * 10_000,
        "NUL_KEY": "01234567\0",
    }

    chosen = secret_environment(environ)

    assert set(chosen) == {
        "OPENAI_API_KEY",
        "GITHUB_TOKEN",
        "CLIENT_SECRET",
        "DB_PASSWORD",
        "smtp_pass",
        "PASSWORD",
        "LONG_KEY",
        "NUL_KEY",
    }
    assert chosen["DB_PASSWORD"] == long
