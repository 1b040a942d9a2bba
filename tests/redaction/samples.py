"""Synthetic secrets: random characters in the shape of real ones, none of them valid."""

import random
import re
import string
import tomllib
import uuid
from pathlib import Path

EXAMPLES: dict[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("examples.toml").read_text(encoding="utf-8")
)
ALPHABETS = {
    "A": string.ascii_letters + string.digits,
    "a": string.ascii_letters,
    "U": string.ascii_uppercase + string.digits,
    "l": string.ascii_lowercase + string.digits,
    "h": "0123456789abcdef",
    "d": string.digits,
    "b": string.ascii_letters + string.digits + "+/",
    "u": string.ascii_letters + string.digits + "_-",
}


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - made-up secrets need no real chance


def fill(template: str, rng: random.Random) -> tuple[str, list[str]]:
    """Return the text of a template, and its random parts of 14 or more characters."""
    parts: list[str] = []

    def part(match: re.Match[str]) -> str:
        if match[0] == "{uuid}":
            made = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        else:
            made = "".join(rng.choices(ALPHABETS[match[1]], k=int(match[2]) - 1))
            made += rng.choice(ALPHABETS[match[1]].strip("+/_-"))
        if match[1] in ("A", "u", "b") and len(made) >= 8:
            made = "aZ7" + made[3:]  # so that all three classes occur
        if len(made) >= 14:
            parts.append(made)
        return made

    return re.sub(r"\{(?:uuid|([AaUlhdbu])(\d+))\}", part, template), parts
