import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ask_expert.access import digest
from ask_expert.ledger import access_tokens
from ask_expert.ledger.store import Ledger
from ask_expert.redaction import Masker
from tests.cli.running import KEY, Ended, ask_expert, settings_for
from tests.fakes.provider import Provider


def created(*more: str, name: str = "ci") -> Ended:
    return ask_expert(
        "token", "create", name, "--user", "ada", "--project", "/x", *more
    )


def changed() -> list[dict[str, object]]:
    """Return the changes on record, oldest first."""
    found: list[dict[str, object]] = json.loads(
        ask_expert("ledger", "changes", "--json").out
    )
    return found[::-1]


def test_a_new_token_is_all_that_standard_output_gets_and_it_is_good(
    home: Path,
) -> None:
    ended = created("--expires", "30d")

    secret = ended.out.removesuffix("\n")
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        found = access_tokens.find(ledger, digest(secret))
        kept = (home / "ledger.db").read_bytes()
    assert ended.status == 0
    assert found is not None
    assert (found.name, found.user, found.project) == ("ci", "ada", "/x")
    assert (found.role, found.policy, found.budgets) == ("member", None, ())
    assert found.expires_us == found.created_us + 30 * 86_400_000_000
    assert secret not in ended.err
    assert secret.encode() not in kept
    assert "name ci, user ada, project /x, role member" in ended.err
    assert Masker().scrub(secret) == "«SECRET:ask_expert_token»"


def test_a_token_carries_its_own_budgets_policy_and_role(home: Path) -> None:
    ended = created(
        "--role", "lead", "--policy", "frugal", "--budget", "5/day",
        "--budget", "3calls/session", "--expires", "2999-12-31",
    )  # fmt: skip

    found = json.loads(ask_expert("token", "show", "ci", "--json").out)
    assert ended.status == 0
    assert (found["role"], found["policy"], found["good"]) == ("lead", "frugal", True)
    assert found["budgets"] == [
        {"scope": "day", "usd": "5", "per": ["session"]},
        {"scope": "session", "calls": 3},
    ]
    assert found["expires_at"] == "2999-12-31T00:00:00.000000Z"


def test_a_policy_in_a_file_is_kept_by_its_whole_path(tmp_path: Path) -> None:
    file = tmp_path / "team.yaml"
    file.write_text("name: team\notherwise: escalate\n")

    ended = ask_expert(
        "token", "create", "ci", "--user", "a", "--project", "p",
        "--policy", "team.yaml", folder=tmp_path,
    )  # fmt: skip

    found = json.loads(ask_expert("token", "show", "ci", "--json").out)
    assert ended.status == 0
    assert found["policy"] == str(file)


@pytest.mark.parametrize(
    ("more", "status", "trouble"),
    [
        (("--policy", "frugl"), 1, "there is no policy 'frugl'; did you mean 'frugal'"),
        (("--budget", "5"), 2, "give AMOUNT[usd|calls|tokens]/SCOPE[:rolling]"),
        (("--expires", "2020-01-01"), 2, "'2020-01-01' is not in the future"),
        (("--expires", "soon"), 2, "'soon' is no time"),
        (("--role", "boss"), 2, "'member', 'lead', 'owner'"),
        (("--user", " "), 2, "one line of 1 to 200 characters"),
        (("--project", "a\nb"), 2, "one line of 1 to 200 characters"),
        (("--project", f"ghp_{'a1B2' * 9}"), 2, "The project looks like a secret"),
        (("--user", f"ghp_{'a1B2' * 9}"), 2, "The user looks like a secret"),
    ],
)
def test_what_is_wrong_with_a_token_is_said_and_none_is_made(
    more: tuple[str, ...], status: int, trouble: str
) -> None:
    ended = created(*more)

    assert (ended.status, ended.out) == (status, "")
    assert trouble in " ".join(ended.err.split())
    assert ask_expert("token", "list").out == "No token was issued yet.\n"


def test_a_policy_whose_experts_are_not_in_the_settings_is_refused(
    home: Path, tmp_path: Path
) -> None:
    (home / "settings.yaml").write_text(settings_for("http://127.0.0.1:1"))
    (tmp_path / "team.yaml").write_text("name: team\nladder: [nobody]\n")

    ended = created("--policy", str(tmp_path / "team.yaml"))

    assert (ended.status, ended.out) == (1, "")
    assert "nobody" in ended.err


def test_a_name_with_blanks_is_refused() -> None:
    ended = created(name="my laptop")

    assert ended.status == 2
    assert "no blanks" in ended.err


def test_a_name_in_use_is_refused_until_it_is_revoked() -> None:
    first, second = created(), created()
    revoked = ask_expert("token", "revoke", "ci")
    third = created()

    assert (first.status, second.status, third.status) == (0, 1, 0)
    assert "There is a token 'ci' already" in second.err
    assert (
        revoked.out == "The token ci is revoked: every server refuses it from now on.\n"
    )
    listed = json.loads(ask_expert("token", "list", "--json").out)
    assert [(each["name"], each["good"]) for each in listed] == [
        ("ci", False),
        ("ci", True),
    ]


def test_revoking_twice_says_when_it_was_and_a_stranger_is_unknown() -> None:
    created()
    ask_expert("token", "revoke", "ci")

    again = ask_expert("token", "revoke", "ci")
    unknown = ask_expert("token", "revoke", "cy")

    assert again.status == 0
    assert "was revoked at 20" in again.out
    assert unknown.status == 1
    assert unknown.err == (
        "ask-expert: There is no token 'cy'; "
        "`ask-expert token list` shows those there are.\n"
    )


def test_tokens_are_shown_for_people_without_braces() -> None:
    created("--budget", "5/day", "--budget", "100calls/hour")

    listed = ask_expert("token", "list")
    shown = ask_expert("token", "show", "ci")

    head, line = listed.out.splitlines()
    assert head.split() == [
        "name",
        "user",
        "project",
        "role",
        "policy",
        "budgets",
        "state",
    ]
    assert "$5 per day and session; 100 calls per hour and session" in line
    assert "budgets: $5 per day and session; 100 calls per hour" in shown.out
    assert "good: in use\n" in shown.out
    assert "{" not in shown.out + listed.out


def test_a_token_whose_output_nobody_reads_can_be_revoked(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ask_expert", "token", "create", "ci",
         "--user", "ada", "--project", "/x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as creating:  # fmt: skip
        assert creating.stdout is not None
        creating.stdout.close()

    assert (home / "ledger.db").exists()
    assert ask_expert("token", "revoke", "ci").status == 0


def test_changes_of_tokens_say_who_when_and_from_what_to_what() -> None:
    created("--budget", "5/day")
    ask_expert("token", "revoke", "ci")

    printed = ask_expert("ledger", "changes")
    one = ask_expert("ledger", "changes", "--limit", "1", "--json")

    head, revoked, made = printed.out.splitlines()
    assert head.split() == ["when", "who", "what", "old", "new"]
    assert "token ci" in revoked
    assert revoked.endswith("revoked")
    said = " ".join(made.split()[4:])
    assert said == "none member ada in /x; $5 per day and session"
    (newest,) = json.loads(one.out)
    assert (newest["kind"], newest["name"], newest["number"]) == ("token", "ci", 2)
    assert newest["old"]["id"] == newest["new"]["id"]


def test_nothing_changed_is_said() -> None:
    ended = ask_expert("ledger", "changes")

    assert (ended.status, ended.out) == (0, "No change is on record yet.\n")


def test_asking_puts_a_changed_policy_and_its_caps_on_record_and_looking_does_not(
    home: Path,
) -> None:
    policy = "name: own\notherwise: escalate\nbudgets: [{scope: day, usd: %s}]\n"
    with Provider() as provider:
        file = home / "own.yaml"
        (home / "settings.yaml").write_text(
            settings_for(provider.url, policy=str(file))
        )
        file.write_text(policy % 5)
        ask_expert("ask", "Why?", "--dry-run", environ=KEY)
        ask_expert("report")
        looked = changed()
        ask_expert("ask", "Why?", environ=KEY)
        ask_expert("ask", "Why not?", environ=KEY)
        asked = changed()
        file.write_text(policy % 3)
        ask_expert("ask", "Why then?", environ=KEY)
        lowered = changed()
        printed = ask_expert("ledger", "changes", "--limit", "2").out

    assert looked == []
    assert [(each["kind"], each["name"]) for each in asked] == [
        ("policy", "own"),
        ("cap", "own: day"),
    ]
    assert [
        (each["old"], each["new"]) for each in lowered[2:] if each["kind"] == "cap"
    ] == [
        (
            {"scope": "day", "usd": "5", "per": []},
            {"scope": "day", "usd": "3", "per": []},
        )
    ]
    assert len(lowered) == 4
    _, cap, whole = printed.splitlines()
    assert "cap own: day" in cap
    assert cap.split()[-6:] == ["$5", "per", "day", "$3", "per", "day"]
    assert whole.endswith(": budgets")
