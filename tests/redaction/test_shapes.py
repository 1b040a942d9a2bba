import base64
import json
from collections.abc import Callable

import pytest

from ask_expert.redaction import Marks, Masker
from tests.redaction.samples import fill, seeded

MARK = "«SECRET:private_key:1»"


def pem(kind: str = "RSA ", lines: int = 6) -> str:
    body, _ = fill("\n".join(["{b64}"] * lines) + "\n{b30}==", seeded(3))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "])
def test_a_private_key_is_one_mark(kind: str, masked: Callable[[str], str]) -> None:
    assert masked(f"key:\n{pem(kind)}\nend") == f"key:\n{MARK}\nend"


def test_a_pgp_private_key_with_its_headers_is_one_mark(
    masked: Callable[[str], str],
) -> None:
    body = pem().split("\n", 1)[1].rsplit("\n", 1)[0]
    block = (
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2.0.22 (GNU/Linux)\n\n"
        f"{body}\n=aB3d\n-----END PGP PRIVATE KEY BLOCK-----"
    )

    assert masked(block) == MARK
    assert "GnuPG" not in masked(block.rsplit("\n", 1)[0])


@pytest.mark.parametrize("times", [1, 2])
def test_a_private_key_inside_json_is_masked(
    times: int, masked: Callable[[str], str]
) -> None:
    account = {
        "type": "service_account",
        "private_key": pem("") + "\n",
        "client_id": "1",
    }
    text = json.dumps(account)
    for _ in range(times - 1):
        text = json.dumps({"body": text})

    result = masked(text)

    assert "«SECRET:" in result
    assert "BEGIN" not in result
    assert "client_id" in result


@pytest.mark.parametrize("keep", [30, 95, 200, 390])
def test_a_private_key_cut_off_before_its_end_is_masked(
    keep: int, masked: Callable[[str], str]
) -> None:
    cut = pem()[: len("-----BEGIN RSA PRIVATE KEY-----") + keep]

    assert (
        masked(f"log: {cut}\nand then it stopped")
        == f"log: {MARK}\nand then it stopped"
    )
    assert MARK in masked(cut.replace("\n", "\\n"))


def test_a_private_key_with_quoted_or_marked_lines_is_masked(
    masked: Callable[[str], str],
) -> None:
    lines = pem().splitlines()[:-1]
    quoted = "key = (\n" + "\n".join(f'    "{line}\\n"' for line in lines)
    diff = "\n".join(f"+{line}" for line in lines)

    assert not any(line[:40] in masked(quoted) for line in lines)
    assert not any(line[:40] in masked(diff) for line in lines)


def test_two_private_keys_are_two_marks_though_the_first_has_no_end(
    masked: Callable[[str], str],
) -> None:
    first = pem(lines=3).rsplit("\n", 1)[0]

    result = masked(f"{first}\n\nthen the other\n\n{pem('EC ', 4)}\nfine")

    assert result == f"{MARK}\n\nthen the other\n\n«SECRET:private_key:2»\nfine"


def test_program_text_about_keys_and_public_blocks_stays(
    masked: Callable[[str], str],
) -> None:
    certificate = pem().replace("RSA PRIVATE KEY", "CERTIFICATE")
    text = (
        'if "-----BEGIN PRIVATE KEY-----" in line:\n    inside = True\n'
        'if "-----END PRIVATE KEY-----" in line:\n    inside = False\n' + certificate
    )

    assert masked(text) == text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql+psycopg://app:s3cr3t!pw@db.example.com:5432/app",
            "postgresql+psycopg://app:«SECRET:url_password:1»@db.example.com:5432/app",
        ),
        ("redis://:p4ss@host/0", "redis://:«SECRET:url_password:1»@host/0"),
        ("amqp://u:p@ss@host", "amqp://u:«SECRET:url_password:1»@host"),
        (
            "https://a1b2c3d4e5f6a7b8c9d0@git.example.com/x.git",
            "https://«SECRET:url_token:1»@git.example.com/x.git",
        ),
    ],
)
def test_credentials_in_a_url_are_masked_and_nothing_else_of_it(
    url: str, expected: str, masker: Masker, masked: Callable[[str], str]
) -> None:
    assert masked(f"see {url} there") == f"see {expected} there"
    assert masker.scan(json.dumps(url).encode())
    assert masker.scan(json.dumps(expected).encode()) == ()


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000/@vite/client",
        "postgres://user:password@host/db",
        "postgres://${USER}:${PASSWORD}@host/db",
        "https://user:<token>@host",
        "f'https://{user}:{password}@{host}'",
        "ssh://git@github.com/acme/repo.git",
        "http://[::1]:8080/ and mail me@example.com",
    ],
)
def test_urls_without_a_real_credential_stay(
    text: str, masked: Callable[[str], str]
) -> None:
    assert masked(text) == text


TOKEN = "Zx81kQ0aBc93LmNoP4"
BASIC = base64.b64encode(b"aladdin:opensesame1").decode()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        (f"authorization: basic {BASIC}", BASIC),
        (f"Proxy-Authorization: Basic {BASIC}", BASIC),
        (f"Authorization: {TOKEN}", TOKEN),
        (f'headers = {{"Authorization": "Bearer {TOKEN}"}}', TOKEN),
        (f'curl -H "Authorization: Token {TOKEN}" https://x', TOKEN),
        (f'h.set("Authorization", "Bearer {TOKEN}")', TOKEN),
        (f'{{\\"Authorization\\": \\"Bearer {TOKEN}\\"}}', TOKEN),
        (f"then sent bearer {TOKEN} to it", TOKEN),
        (f"x-api-key: {TOKEN}", TOKEN),
        (f"'X-Auth-Token': '{TOKEN}'", TOKEN),
        (f"api-key: {TOKEN}", TOKEN),
        (f"Ocp-Apim-Subscription-Key: {TOKEN}", TOKEN),
        ("Cookie: session=ab12cd34; theme=dark", "ab12cd34"),
        ("Set-Cookie: id=ab12cd34; Path=/; HttpOnly", "ab12cd34"),
        ('"Cookie": "session=ab12cd34"', "ab12cd34"),
        ("machine example.com login me password swordfish", "swordfish"),
        ("machine example.com\n  login me\n  password swordfish\n", "swordfish"),
        ("default login me password swordfish", "swordfish"),
        ("curl -u admin:sw0rdfish https://x", "sw0rdfish"),
        (json.dumps({"auths": {"ghcr.io": {"auth": BASIC}}}), BASIC),
        (f"//registry.npmjs.org/:_authToken={TOKEN}", TOKEN),
    ],
)
def test_credentials_in_headers_and_login_files_are_masked(
    text: str, secret: str, masked: Callable[[str], str]
) -> None:
    result = masked(text)

    assert secret not in result
    assert "«SECRET:" in result


@pytest.mark.parametrize(
    "text",
    [
        'headers["Authorization"] = f"Bearer {token}"',
        "Authorization: Bearer <token>",
        "Authorization: Bearer $GITHUB_TOKEN",
        "the authorization header must hold a bearer token from the login page",
        "authorization = authorization[1].encode('ascii')",
        "Cookie: the browser sends it back, see RFC 6265",
        "to login, type the password of your account",
        "machine learning models login page password reset".replace(
            "login page", "page"
        ),
    ],
)
def test_text_about_credentials_stays(text: str, masked: Callable[[str], str]) -> None:
    assert masked(text) == text


def test_the_same_key_as_text_and_as_json_is_counted() -> None:
    marks = Marks(key=b"home")
    Masker().mask(pem() + " " + pem("EC "), marks)

    assert (marks.count, marks.kinds) == (2, ("private_key",))
