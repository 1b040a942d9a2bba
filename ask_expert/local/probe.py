"""
Find out once what a local server can give, by asking it; keep that in the home.

A server says nothing reliable about itself: one ignores what it does not know, one
turns it down. So each ability is tried with a few tokens, and what did not come is
switched off with the reason.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast, get_args

from ask_expert.errors import LocalModelError
from ask_expert.local.answered import Answered, Guide, Request
from ask_expert.local.client import BUSY, LocalModel
from ask_expert.question import Turn

_FORM = 1
"""Version of the kept files' form and of what is tried."""

_TOP = (20, 5, 1)
_WORDS = ("zebra", "quartz")
_TRY = (Turn(role="user", text="Name a colour, then an animal, then a town."),)
_TRY_TOKENS = 8
_DRAFT = Turn(role="assistant", text="Blue, a hare")
_ECHOED = "The sky is blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """
    What one model of one server can give.

    Attributes:
        server: Program and version, as far as it says.
        logprobs: Log-probabilities of an answer's tokens.
        top_logprobs: How many alternatives it tells beside each; 0 is none.
        prompt_logprobs: Log-probabilities of a conversation's own tokens.
        echo: Log-probabilities of a plain text's own tokens.
        n: Several answers to one request.
        seeds: Two requests with one seed get the same text.
        guide: How it is told to answer with one of a few words; None when it cannot.
        window: Tokens of prompt and answer together; None when it does not say.
        prefix_cache: Its metrics tell hits of its prefix cache.
        lacking: Why each of the above is not there.
    """

    server: str = "unknown"
    logprobs: bool = False
    top_logprobs: int = 0
    prompt_logprobs: bool = False
    echo: bool = False
    n: bool = False
    seeds: bool = False
    guide: Guide | None = None
    window: int | None = None
    prefix_cache: bool = False
    lacking: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def gives(self) -> tuple[str, ...]:
        """What it can give, for people."""
        top = f"top_logprobs {self.top_logprobs}" if self.top_logprobs else ""
        window = f"window {self.window}" if self.window else ""
        guide = f"guided choice by {self.guide}" if self.guide else ""
        named = ("logprobs", "prompt_logprobs", "echo", "n", "seeds", "prefix_cache")
        plain = [name for name in named if getattr(self, name)]
        return tuple(each for each in (*plain, top, guide, window) if each)


async def probed(model: LocalModel, *, home: Path) -> Capabilities:
    """
    Return what a model's server can give, from the home or by trying it now.

    What was found is kept by address, model and the server's version, so that a new
    version is tried again.

    Raises:
        LocalModelError: It cannot be asked now; nothing is kept.
    """
    server, window = await _identity(model)
    path = home / "local" / f"{_name(model, server)}.json"
    known = _kept(path)
    if known is None:
        known = await _tried(model, Capabilities(server=server, window=window))
        _keep(path, known)
    return known


async def prefix_cache(model: LocalModel) -> tuple[int, int] | None:
    """
    Return how many prompt tokens were looked up and found in vLLM's prefix cache.

    Both count from the server's start; None where it has no such metric.

    Raises:
        LocalModelError: The server cannot be reached.
    """
    text = await model.page("/metrics")
    found = [_counter(text or "", f"vllm:prefix_cache_{name}") for name in _COUNTERS]
    queries, hits = found
    return None if queries is None or hits is None else (queries, hits)


_COUNTERS = ("queries", "hits")


def _counter(text: str, name: str) -> int | None:
    lines = [
        line
        for line in text.splitlines()
        if line.startswith((f"{name}_total{{", f"{name}{{", f"{name}_total "))
    ]
    try:
        return (
            int(sum(float(line.rpartition(" ")[2]) for line in lines))
            if lines
            else None
        )
    except (ValueError, OverflowError):
        return None


async def _identity(model: LocalModel) -> tuple[str, int | None]:
    """Return the program and version, and the context window, as far as it says."""
    listed = _json(await model.page("/v1/models"))
    entries = listed.get("data")
    found: dict[str, Any] = {}
    for each in cast("list[object]", entries if isinstance(entries, list) else []):
        if isinstance(each, dict):
            entry = cast("dict[str, Any]", each)
            found = entry if not found or entry.get("id") == model.model else found
    name = str(found.get("owned_by") or "unknown")
    meta = found.get("meta")
    window = found.get("max_model_len")
    if window is None and isinstance(meta, dict):
        window = cast("dict[str, Any]", meta).get("n_ctx")
    version = ""
    for path, key in (
        ("/version", "version"),
        ("/api/version", "version"),
        ("/props", "build_info"),
    ):
        version = version or str(_json(await model.page(path)).get(key) or "")
    right = isinstance(window, int) and window > 0
    return f"{name} {version}".strip(), window if right else None


def _json(page: str | None) -> dict[str, Any]:
    try:
        value = json.loads(page or "{}")
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


async def _tried(model: LocalModel, known: Capabilities) -> Capabilities:
    """Try each ability; the plain request first, since without it there is nothing."""
    await model.answer(Request(turns=_TRY, max_tokens=1))
    lacking: dict[str, str] = {}
    logprobs, top = await _logprobs(model, lacking)
    seeds = await _seeds(model, lacking)
    found = replace(
        known,
        logprobs=logprobs,
        top_logprobs=top,
        prompt_logprobs=await _prompt_logprobs(model, lacking),
        echo=await _echo(model, lacking),
        n=await _n(model, lacking),
        seeds=seeds,
        guide=await _guide(model, lacking),
    )
    cached = await prefix_cache(model) is not None
    if not cached:
        lacking["prefix_cache"] = "its /metrics tell no hits of a prefix cache"
    if found.window is None:
        lacking["window"] = "its /v1/models does not tell the context window"
    return replace(found, prefix_cache=cached, lacking=lacking)


async def _asked(asking: Awaitable[Answered]) -> Answered | str:
    """
    Return the answer, or why the server turned the request down.

    Raises:
        LocalModelError: It is gone or busy: nothing is learnt from that.
    """
    try:
        return await asking
    except LocalModelError as error:
        if error.http_status is None and "sent no completion" not in str(error):
            raise
        if error.http_status in BUSY:
            raise
        return str(error)


async def _logprobs(model: LocalModel, lacking: dict[str, str]) -> tuple[bool, int]:
    why = "it sends none"
    for wanted in (*_TOP, 0):
        came = await _asked(
            model.answer(Request(turns=_TRY, max_tokens=2, top_logprobs=wanted))
        )
        if isinstance(came, str):
            why = came
            continue
        tokens = came.samples[0].tokens
        if tokens and any(token.logprob is not None for token in tokens):
            top = max(len(token.top) for token in tokens)
            if not top:
                lacking["top_logprobs"] = "it sends none beside a token's own"
            return True, top
    lacking["logprobs"] = lacking["top_logprobs"] = why
    return False, 0


async def _seeds(model: LocalModel, lacking: dict[str, str]) -> bool:
    texts: list[str] = []
    for _ in range(2):
        came = await _asked(
            model.answer(
                Request(turns=_TRY, max_tokens=_TRY_TOKENS, temperature=1.0, seed=7)
            )
        )
        if isinstance(came, str):
            lacking["seeds"] = came
            return False
        texts.append(came.samples[0].text)
    if texts[0] != texts[1]:
        lacking["seeds"] = "two requests with one seed got different texts"
    return texts[0] == texts[1]


async def _prompt_logprobs(model: LocalModel, lacking: dict[str, str]) -> bool:
    came = await _asked(model.score((*_TRY, _DRAFT), whole=False))
    if isinstance(came, str):
        lacking["prompt_logprobs"] = came
        return False
    if any(token.logprob is not None for token in came.prompt or ()):
        return True
    lacking["prompt_logprobs"] = "it takes no notice of the wish"
    return False


async def _echo(model: LocalModel, lacking: dict[str, str]) -> bool:
    try:
        came, _ = await model.echo(_ECHOED)
    except LocalModelError as error:
        if error.http_status in BUSY:
            raise
        lacking["echo"] = str(error)
        return False
    told = any(token.logprob is not None for token in came.prompt or ())
    if not told:
        lacking["echo"] = "it echoes without log-probabilities"
    return told


async def _n(model: LocalModel, lacking: dict[str, str]) -> bool:
    came = await _asked(
        model.answer(Request(turns=_TRY, max_tokens=1, n=2, temperature=1.0))
    )
    if not isinstance(came, str) and len(came.samples) == 2:  # noqa: PLR2004  # as asked
        return True
    lacking["n"] = came if isinstance(came, str) else "it sends one answer all the same"
    return False


async def _guide(model: LocalModel, lacking: dict[str, str]) -> Guide | None:
    for guide in cast("tuple[Guide, ...]", get_args(Guide)):
        came = await _asked(
            model.answer(
                Request(turns=_TRY, max_tokens=12, choices=_WORDS, guide=guide)
            )
        )
        if not isinstance(came, str) and came.samples[0].text in _WORDS:
            return guide
    lacking["guide"] = "it answers freely whatever choices it is given"
    return None


def _name(model: LocalModel, server: str) -> str:
    facts = [_FORM, model.base_url, model.model, server]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _kept(path: Path) -> Capabilities | None:
    """Return what was found before; None when it is not there or damaged."""
    names = {each.name for each in fields(Capabilities)}
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or set(cast("dict[str, Any]", told)) != names:
        return None
    return Capabilities(**cast("dict[str, Any]", told))


def _keep(path: Path, found: Capabilities) -> None:
    """Write it for its user alone; where that fails, it is tried again next time."""
    told = {each.name: getattr(found, each.name) for each in fields(found)}
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(told, file)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
