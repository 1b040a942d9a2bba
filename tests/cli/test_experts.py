import json
import re
from contextlib import closing
from pathlib import Path

from ask_expert.ledger.store import Ledger
from tests.cli.running import KEY, ask_expert, settings_for
from tests.fakes.provider import Provider
from tests.report.ledgers import Paid, answered


def test_experts_are_listed_with_endpoint_price_source_and_key(home: Path) -> None:
    (home / "settings.yaml").write_text(
        settings_for("http://127.0.0.1:9")
        + "  - {name: claude, api: anthropic, model: claude-opus-5-5}\n"
        + "  - {name: odd, api: openai_chat, model: made-up, key_env: ODD_KEY}\n"
    )

    ended = ask_expert("experts", "list", "--json", environ=KEY)

    flagship, claude, odd = json.loads(ended.out)
    assert flagship == {
        "name": "flagship",
        "api": "openai_chat",
        "model": "some-model",
        "endpoint": "http://127.0.0.1:9/v1",
        "price_source": "settings",
        "key_ready": True,
        "key_from": "variable FLAGSHIP_KEY",
        "key": "found",
        "rests": None,
    }
    assert claude["endpoint"] == "https://api.anthropic.com"
    assert claude["price_source"].startswith("genai-prices ")
    assert not claude["key_ready"]
    assert (odd["price_source"], odd["key_ready"]) == (None, False)
    assert "set ODD_KEY" in odd["key"]
    assert KEY["FLAGSHIP_KEY"] not in ended.out


def test_an_expert_that_rests_is_shown_with_the_reason(home: Path) -> None:
    with Provider() as provider:
        (home / "settings.yaml").write_text(
            settings_for(provider.url).replace(
                "max_output_tokens", "break_after: 1\n    max_output_tokens"
            )
        )
        provider.fail(503)
        ask_expert("ask", "Why?", "--tried", "waiting", environ=KEY)

    shown = ask_expert("experts", "list", environ=KEY)

    assert re.search(r"until \d\d:\d\d:\d\dZ", shown.out)
    assert "HTTP 503" in shown.out


def test_the_list_for_people_says_what_is_missing(home: Path) -> None:
    (home / "settings.yaml").write_text(
        settings_for("https://api.example.com").replace("price:", "extra_body:")
    )

    ended = ask_expert("experts", "list")

    assert ended.status == 0
    assert "  NONE KNOWN  " in ended.out
    assert "MISSING: expert 'flagship' has no key: set FLAGSHIP_KEY" in ended.out


def test_without_an_expert_the_way_to_one_is_said(home: Path) -> None:
    ended = ask_expert("experts", "list")

    assert (ended.status, ended.err) == (0, "")
    assert "ask-expert init" in ended.out


def test_a_model_that_changed_inside_a_thread_is_shown(home: Path) -> None:
    with Provider() as provider:
        provider.answer("One.", model="some-model-2026-10-01")
        provider.answer("Two.", model="some-model-mini")
        provider.answer("Three.", model="some-model-mini")
        (home / "settings.yaml").write_text(settings_for(provider.url))
        first = json.loads(ask_expert("ask", "--json", "Why?", environ=KEY).out)
        thread = first["thread"]
        for question in ("And then?", "And now?"):
            ask_expert("ask", question, "--thread", thread, environ=KEY)

        shown = ask_expert("experts", "drift")
        (found,) = json.loads(ask_expert("experts", "drift", "--json").out)

    assert shown.status == 0
    assert shown.out.startswith("flagship: asked some-model\nserved model")
    assert "different: 2 of 3 tries were served by another model\n" in shown.out
    assert "changed over time: served model" in shown.out
    assert (
        f"switched inside thread {thread}: 2 of 3 tries (67%) served by the "
        "unexpected one\n"
    ) in shown.out
    assert shown.out.endswith("Drift: flagship (some-model).\n")
    assert [(each["served_model"], each["kin"]) for each in found["served"]] == [
        ("some-model-2026-10-01", "snapshot"),
        ("some-model-mini", "different"),
    ]
    assert found["threads"] == [
        {
            "thread": thread,
            "tries": 3,
            "unexpected_tries": 2,
            "unexpected_share": 2 / 3,
            "switched": True,
        }
    ]


def test_no_drift_is_said_plainly(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1", Paid(served="model-1-20261001"))

    ended = ask_expert("experts", "drift")

    assert ended.status == 0
    assert ended.out.endswith(
        "no drift\n\n"
        "No drift: every expert was served by the model that was asked, unchanged.\n"
    )


def test_drift_before_a_time_is_left_out(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1", Paid(served="other"))

    ended = ask_expert("experts", "drift", "--since", "2026-11-23")

    assert ended.out == "No drift: no expert has answered yet.\n"


def test_what_a_provider_calls_itself_cannot_steer_the_terminal(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(
            ledger, "q_1", Paid(served="\x1b[2Jmodel", identity={"region": "\x9b"})
        )

    ended = ask_expert("experts", "drift")

    assert "\\x1b[2Jmodel" in ended.out
    assert "\x1b" not in ended.out
    assert "\x9b" not in ended.out


def test_one_broken_adapter_leaves_the_others_their_lines(
    home: Path, tmp_path: Path
) -> None:
    added = tmp_path / "bad-1.0.dist-info"
    added.mkdir()
    (added / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (added / "entry_points.txt").write_text("[ask_expert.experts]\nbad = badmod:Bad\n")
    (tmp_path / "badmod.py").write_text("raise RuntimeError('boom')\n")
    (home / "settings.yaml").write_text(
        settings_for("http://127.0.0.1:9").replace(
            "experts:\n", "experts:\n  - {name: odd, api: bad, model: m}\n"
        )
    )

    ended = ask_expert(
        "experts", "list", "--json", environ={**KEY, "PYTHONPATH": str(tmp_path)}
    )

    odd, flagship = json.loads(ended.out)
    assert ended.status == 0
    assert not odd["key_ready"]
    assert "cannot be loaded (RuntimeError: boom)" in odd["key"]
    assert "uninstall bad 1.0" in odd["key"]
    assert flagship["key_ready"]
