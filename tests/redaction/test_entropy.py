import base64
import hashlib
import uuid
from collections.abc import Callable

import pytest

from ask_expert.redaction.entropy import looks_random
from tests.redaction.samples import fill, seeded

DIGEST = hashlib.sha512(b"x").digest()


@pytest.mark.parametrize("template", ["{A32}", "{A40}", "{u43}", "{b64}", "{b86}=="])
def test_a_long_random_token_is_masked_without_any_context(
    template: str, masked: Callable[[str], str]
) -> None:
    token, _ = fill(template, seeded(11))

    assert masked(f"it said {token} to me") == "it said «SECRET:high_entropy:1» to me"
    assert masked(f"it said\\n{token}") == "it said\\n«SECRET:high_entropy:1»"


def test_nearly_every_random_token_looks_random() -> None:
    rng = seeded(5)

    found = sum(looks_random(fill("{A36}", rng)[0]) for _ in range(1000))

    assert found >= 980


@pytest.mark.parametrize(
    "text",
    [
        DIGEST.hex(),
        hashlib.sha1(b"x", usedforsecurity=False).hexdigest(),
        DIGEST.hex().upper(),
        str(uuid.UUID(int=2**127 + 12345)),
        "sha512-" + base64.b64encode(DIGEST).decode(),
        "sha256:" + base64.b64encode(DIGEST[:32]).decode(),
        '"integrity": "sha384-' + base64.b64encode(DIGEST[:48]).decode() + '"',
        "data:image/png;base64," + base64.b64encode(DIGEST).decode(),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5" + base64.b64encode(DIGEST[:44]).decode(),
        "src/main/java/com/example/App2/ServiceFactory/ImplV3/Handler.java",
        "kCFStreamPropertySOCKSProxyHost2AndPortNumber",
        "test_the_HTTP2_Connection_Is_Closed_After_30_Seconds",
        "0123456789012345678901234567890123456789",
        "--------------------------------------------------",
    ],
)
def test_hashes_names_and_paths_stay(text: str, masked: Callable[[str], str]) -> None:
    assert masked(f"see {text} here") == f"see {text} here"
