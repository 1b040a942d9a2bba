import os
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from ask_expert import yaml_file
from ask_expert.errors import ConfigError


class Engine(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fuel: Literal["diesel", "petrol", "electric"]
    litres: Decimal = Decimal(1)


class Car(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = "unnamed"
    engine: Engine | None = None
    spares: tuple[Engine, ...] = ()
    labels: Mapping[str, Engine] = {}
    seats: int = 4
    built: date | None = None
    extras: Mapping[str, object] = {}
    owner_key: str | None = None


def parse(text: str) -> Car:
    return yaml_file.parse(text, Car, file=Path("car.yaml"))


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "\ufeff"])
def test_an_empty_file_is_all_defaults(text: str) -> None:
    assert parse(text) == Car()


def test_a_decimal_is_the_number_that_was_typed() -> None:
    car = parse("engine: {fuel: diesel, litres: 0.1000000000000000000001}")

    assert car.engine is not None
    assert car.engine.litres == Decimal("0.1000000000000000000001")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_every_decimal_survives_reading(number: Decimal) -> None:
    car = parse(f"engine: {{fuel: diesel, litres: {number:f}}}")

    assert car.engine is not None
    assert car.engine.litres == number


def test_anchors_may_be_used_for_repetition() -> None:
    car = parse("engine: &one {fuel: diesel}\nspares: [*one, *one]")

    assert car.spares == (Engine(fuel="diesel"), Engine(fuel="diesel"))


def test_many_anchors_do_not_blow_up() -> None:
    lines = ["extras:", "  a0: &a0 [x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    car = parse("\n".join(lines))

    assert len(car.extras) == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae: x", "car.yaml:1: 'nmae': unknown key 'nmae'; did you mean 'name'?"),
        (
            "zzz: x",
            "car.yaml:1: 'zzz': unknown key 'zzz'; known: built, engine, extras, labels, name, owner_key, seats, spares",
        ),
        (
            "name: x\nengine:\n  fuel: diesel\n  liters: 2\n",
            "car.yaml:4: 'engine.liters': unknown key 'liters'; did you mean 'litres'?",
        ),
        (
            "spares:\n  - {fuel: diesel}\n  - {feul: diesel}\n",
            "car.yaml:3: 'spares.1.feul': unknown key 'feul'; did you mean 'fuel'?",
        ),
        (
            "labels:\n  engine:\n    feul: diesel\n",
            "car.yaml:3: 'labels.engine.feul': unknown key 'feul'; did you mean 'fuel'?",
        ),
        ("name: x\nengine: {}\n", "car.yaml:2: 'engine.fuel': is missing"),
        (
            "engine: {fuel: disel}",
            "car.yaml:1: 'engine.fuel': cannot be 'disel'; did you mean 'diesel'?",
        ),
        (
            "engine: {fuel: coal}",
            "car.yaml:1: 'engine.fuel': cannot be 'coal'; known: diesel, electric, petrol",
        ),
        ("name: 4.50", "car.yaml:1: 'name': must be text; put it in quotes; got 4.50"),
        ("name: no", "car.yaml:1: 'name': must be text; put it in quotes; got False"),
        ("spares:", "car.yaml:1: 'spares': must be a list; nothing is given"),
        ("spares: diesel", "car.yaml:1: 'spares': must be a list; got 'diesel'"),
        (
            "engine: diesel",
            "car.yaml:1: 'engine': must be a mapping of keys to values; got 'diesel'",
        ),
        (
            "1: x",
            "car.yaml:1: '1': must be text to be a key; put it in quotes; got 1",
        ),
        ("- a\n- b", "car.yaml:1: must be a mapping of keys to values"),
        ("just words", "car.yaml:1: must be a mapping of keys to values"),
        (
            "name: a\nname: b",
            "car.yaml:2: is not valid YAML: the key 'name' stands twice",
        ),
        (
            "engine:\n  fuel: diesel\n  fuel: petrol",
            "car.yaml:3: is not valid YAML: the key 'fuel' stands twice",
        ),
        ("name: a\n  seats: 2", "car.yaml:2: is not valid YAML: mapping values"),
        ("name: [a", "car.yaml:1: is not valid YAML: expected ',' or ']'"),
        ("\tname: a", "car.yaml:1: is not valid YAML: found character '\\t'"),
        ("name: a\n---\nname: b", "car.yaml:2: is not valid YAML: expected a single"),
        ("name: *gone", "car.yaml:1: is not valid YAML: found undefined alias 'gone'"),
        ("name: &a [*a]", "car.yaml:1: is not valid YAML: found unconstructable"),
        ("? [a]\n: b", "car.yaml:1: is not valid YAML: a key must be a plain word"),
        ("<<: {name: a}", "car.yaml:1: is not valid YAML: `<<` is not supported"),
        ("name: !!python/name:os.system", "car.yaml:1: is not valid YAML: could not"),
        (
            "seats: 2\nbuilt: 2026-02-30",
            "car.yaml:2: is not valid YAML: '2026-02-30' cannot be read as timestamp",
        ),
        ("seats: !!bool maybe", "car.yaml:1: is not valid YAML: 'maybe' cannot be"),
        ("seats: !!timestamp x", "car.yaml:1: is not valid YAML: 'x' cannot be read"),
        ("seats: 1:30.5", "car.yaml:1: is not valid YAML: '1:30.5' cannot be read as"),
        ("seats: 0b_", "car.yaml:1: is not valid YAML: '0b_' cannot be read as int"),
        ("name: a\nseats: \x00", "car.yaml:2: holds the control character '\\x00'"),
        ("engine: {fuel: diesel, litres: .inf}", "finite number; got Infinity"),
        ("engine: {fuel: diesel, litres: .nan}", "finite number; got NaN"),
    ],
)
def test_a_wrong_file_names_the_place_and_the_remedy(text: str, message: str) -> None:
    found = complaint(text)

    assert message in found
    assert "\n" not in found


def test_the_error_holds_file_line_and_key_as_facts() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("name: x\nengine:\n  feul: diesel\n")

    error = caught.value
    assert (error.file, error.line, error.key) == (Path("car.yaml"), 3, "engine.feul")


def test_text_without_a_file_is_located_by_key_alone() -> None:
    with pytest.raises(ConfigError) as caught:
        yaml_file.parse("seats: many", Car)

    assert str(caught.value).startswith("'seats': ")


@pytest.mark.parametrize("text", ["[" * 50_000, "a: " + "{a: " * 20_000])
def test_deep_nesting_is_an_error_not_a_crash(text: str) -> None:
    assert complaint(text) == "car.yaml: is nested too deeply"


def test_a_long_wrong_value_is_cut_short() -> None:
    assert len(complaint(f"seats: {'x' * 9_999}")) < 250
    assert len(complaint(f"seats: {'1' * 9_999}")) < 250
    assert len(complaint(f"{'x' * 900}: 1")) < 1_200


def test_a_value_that_may_be_a_secret_is_never_repeated() -> None:
    found = complaint("owner_key: [sk-planted]\n")
    number = complaint("owner_key: 123456\n")

    assert "sk-planted" not in found
    assert "123456" not in number


def read_or_refusal(text: str) -> Car | str:
    try:
        return parse(text)
    except ConfigError as error:
        return str(error)


@given(st.text(max_size=60))
def test_any_text_is_either_read_or_refused_with_a_sentence(text: str) -> None:
    result = read_or_refusal(text)

    assert isinstance(result, Car) or result.startswith("car.yaml")


@given(st.text(st.sampled_from("a1:-[]{}&*!|>?'\"#%@`, \n<~."), max_size=40))
def test_any_punctuation_is_either_read_or_refused(text: str) -> None:
    result = read_or_refusal(text)

    assert isinstance(result, Car) or result.startswith("car.yaml")


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "car.yaml"
    file.write_text("name: Käfer\n", encoding="utf-8")

    assert yaml_file.read(file, Car).name == "Käfer"


def refused(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        yaml_file.read(file, Car)
    assert caught.value.file == file
    return str(caught.value).removeprefix(str(file))


def test_a_missing_file_or_a_folder_says_so(tmp_path: Path) -> None:
    assert (
        refused(tmp_path / "absent.yaml")
        == ": cannot be read: No such file or directory"
    )
    assert refused(tmp_path) == ": cannot be read: Is a directory"


def test_a_file_that_is_no_utf8_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "car.yaml"
    file.write_bytes(b"seats: 2\nname: K\xe4fer\n")

    assert refused(file) == ":2: is not UTF-8 text"


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    file = tmp_path / "car.yaml"
    file.write_bytes(b"#" * 10_000_000)

    assert refused(file) == ": is larger than 1,000,000 bytes"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs an endless device")
def test_an_endless_file_is_refused() -> None:
    assert (
        refused(Path(os.devnull).parent / "zero") == ": is larger than 1,000,000 bytes"
    )


@pytest.mark.parametrize(
    ("word", "hint"),
    [("nam", "did you mean 'name'?"), ("xyz", "known: name, seats")],
)
def test_the_nearest_known_word_is_hinted_at(word: str, hint: str) -> None:
    assert yaml_file.nearest(word, ["seats", "name"]) == hint
