"""How much is caught and how much is caught by mistake, measured on made-up secrets."""

import base64
import hashlib
import json
import sys
import sysconfig
from pathlib import Path

import pytest

from ask_expert.redaction import Marks, Masker
from tests.redaction.samples import EXAMPLES, fill, seeded

KINDS = """
aws_access_key aws_session_token github_pat github_oauth github_app github_refresh
gitlab_token slack_token stripe_key stripe_webhook_secret openai_key anthropic_key
openrouter_key google_api_key google_oauth huggingface_token npm_token pypi_token
sendgrid_key mailgun_key twilio_key telegram_bot_token discord_bot_token
digitalocean_token shopify_token square_token databricks_token linear_key notion_token
figma_token groq_key replicate_token vault_token jwt age_secret_key
""".split()  # noqa: SIM905
UNPREFIXED = {
    "aws secret access key": "{b40}",
    "azure storage key": "{b86}==",
    "32 hexadecimal digits": "{h32}",
    "UUID": "{uuid}",
    "password": "Tr0ub4dor&3x{A6}",
}
CONTEXTS = {
    "python": 'client = Client(api_key="{}", timeout=30)',
    ".env": "DEBUG=1\nSERVICE_API_KEY={}\nPORT=8000",
    "prose": "I use {} there and the server still answers with 401.",
    "JSON": '{{"name": "service", "api_key": "{}", "retries": 3}}',
}
LEAST = {"python": 40, ".env": 40, "prose": 37, "JSON": 40}
"""What the prototype caught on a corpus of this make."""

SOURCES = """
smtplib ftplib imaplib netrc getpass secrets hmac uuid base64 hashlib ssl tokenize token
urllib/request
""".split()  # noqa: SIM905
PROSE = """
The password is stored as a hash. If the token has expired, ask for a new token: the
client_secret never leaves the server. An API key is not a password; rotate each key
every 90 days. Set password: required in the form. Bearer tokens go into the
Authorization header, cookies into Cookie: lines. Passwords under 12 characters are
refused. The secret key of a session is derived with PBKDF2-HMAC-SHA256, 600000 rounds.
"""


def secrets() -> dict[str, str]:
    rng = seeded(2026)
    filled = {kind: fill(EXAMPLES[kind][0], rng)[0] for kind in KINDS}
    return filled | {name: fill(form, rng)[0] for name, form in UNPREFIXED.items()}


def blocks() -> dict[str, tuple[str, str]]:
    """Return name → (text, the secret in it)."""
    rng = seeded(2027)

    def body() -> str:
        return fill("\n".join(["{b64}"] * 10), rng)[0]

    def pem(kind: str) -> tuple[str, str]:
        key = body()
        return f"-----BEGIN {kind}KEY-----\n{key}\n-----END {kind}KEY-----", key

    account = pem("PRIVATE ")[0]
    token = fill("{A40}", rng)[0]
    login = base64.b64encode(b"robot:" + token.encode()).decode()
    return {
        "RSA key": pem("RSA PRIVATE "),
        "EC key": pem("EC PRIVATE "),
        "OpenSSH key": pem("OPENSSH PRIVATE "),
        "service account": (
            json.dumps({"type": "service_account", "private_key": account}),
            json.dumps(account.split("\n", 1)[1])[1:-1],
        ),
        "bearer header": (f"Authorization: Bearer {token}", token),
        "netrc": ("machine git.example.com login me password sw0rdf1sh", "sw0rdf1sh"),
        "docker auth": (json.dumps({"auths": {"ghcr.io": {"auth": login}}}), login),
        "yaml password": ("db:\n  user: app\n  password: sw0rdf1sh\n", "sw0rdf1sh"),
    }


def benign() -> str:
    library = Path(sysconfig.get_path("stdlib"))
    code = [(library / f"{name}.py").read_text("utf-8") for name in SOURCES]
    digests = [hashlib.sha512(str(n).encode()).digest() for n in range(300)]
    commits = [f"{digest.hex()[:40]} Fix the build" for digest in digests]
    npm = [
        f'"integrity": "sha512-{base64.b64encode(d).decode()}"' for d in digests[:200]
    ]
    pip = [f"    --hash=sha256:{digest.hex()[:64]} \\" for digest in digests]
    return "\n".join([*code, *commits, *npm, *pip, PROSE * 20])


def caught(masker: Masker, text: str, secret: str) -> bool:
    """Return whether at most a tenth of the secret can still be read."""
    masked = masker.mask(text, Marks(key=b"home"))
    part = len(secret) // 10 + 1
    pieces = (secret[at : at + part] for at in range(0, len(secret) - part + 1, part))
    return not any(piece in masked for piece in pieces if len(piece) >= 4) and (
        secret not in masked
    )


@pytest.fixture(scope="module")
def results(masker: Masker) -> dict[str, list[str]]:
    """What is missed, by column of the table."""
    missed = {
        context: [
            name
            for name, secret in secrets().items()
            if not caught(masker, form.format(secret), secret)
        ]
        for context, form in CONTEXTS.items()
    }
    missed["blocks"] = [
        name for name, pair in blocks().items() if not caught(masker, *pair)
    ]
    return missed


def test_recall_is_at_least_the_prototypes(results: dict[str, list[str]]) -> None:
    assert len(secrets()) == 40
    assert len(blocks()) == 8
    found = {context: 40 - len(results[context]) for context in CONTEXTS}

    sys.stdout.write(
        f"\ncaught of 40: {found}; blocks: {8 - len(results['blocks'])} of 8\n"
    )
    sys.stdout.write(
        f"missed: { {name: names for name, names in results.items() if names} }\n"
    )

    assert all(found[context] >= LEAST[context] for context in CONTEXTS), results
    assert results["blocks"] == []


def test_false_findings_are_few_and_false_alarms_none(masker: Masker) -> None:
    text = benign()
    marks = Marks(key=b"home")

    masked = masker.mask(text, marks)

    found = masked.count("«SECRET:")
    sys.stdout.write(
        f"\nfalse findings in {len(text) // 1000} kB: {found} {marks.kinds}\n"
    )
    assert len(text) >= 400_000
    assert found <= 8
    assert masker.scan(json.dumps({"content": text}).encode()) == ()
