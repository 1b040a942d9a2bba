"""Two real servers that nobody here wrote, behind one description."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread

from ask_expert.experts.http import httpx, new_client, send
from ask_expert.experts.registry import wire_for
from ask_expert.question import Prompt, Turn
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings
from tests.real_servers.tiny_model import ENDLESS_WORD

APIS = ("openai_chat", "openai_responses", "anthropic")
_RUNNING = re.compile(r"^vllm:num_requests_running\{.*\} (\S+)$", re.MULTILINE)
_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """
    A real server.

    Attributes:
        url: Address without a path.
        model: The one model it serves.
        window: Tokens of prompt and answer together.
        is_strict: It turns down what it cannot serve.
        tells_the_ceiling: The wires over which it says that the ceiling ended an answer.
        brief: Extras with which an answer ends by itself, soon.
        endless: Extras with which an answer only ends at its ceiling.
        requests_running: Reads how many requests it is working on.
    """

    url: str
    model: str
    window: int
    is_strict: bool
    tells_the_ceiling: tuple[str, ...] = APIS
    brief: Mapping[str, object] = field(default_factory=dict[str, object])
    endless: Mapping[str, object] = field(default_factory=dict[str, object])
    requests_running: Callable[[httpx.Client, str], int]

    def expert(self, api: str, **facts: Any) -> ExpertSettings:
        """Return the settings of an expert that this server stands in for."""
        base = self.url if api == "anthropic" else f"{self.url}/v1"
        given = {"name": "stand-in", "api": api, "base_url": base, "model": self.model}
        return ExpertSettings.model_validate({**given, "stream": False, **facts})

    def running(self) -> int:
        """Return how many requests it is working on now."""
        with httpx.Client(trust_env=False, timeout=10) as client:
            return self.requests_running(client, self.url)

    async def until(self, *, busy: bool) -> None:
        """Return when it works on something, or on nothing any more."""
        deadline = time.monotonic() + _WITHIN_S / 3
        while bool(await anyio.to_thread.run_sync(self.running)) is not busy:
            assert time.monotonic() < deadline, f"still {'not ' * busy}busy"
            await anyio.sleep(0.02)


def llama(url: str, *, window: int) -> Server:
    """Describe llama.cpp with SmolLM2: it takes any request, and cuts it to fit."""
    return Server(
        url=url,
        model="smollm2",
        window=window,
        is_strict=False,
        tells_the_ceiling=("openai_chat", "anthropic"),
        brief={"stop": [" "], "stop_sequences": [" "]},
        endless={"ignore_eos": True},
        requests_running=_busy_slots,
    )


def vllm(url: str, *, model: str, window: int) -> Server:
    """Describe vLLM with the tiny model."""
    return Server(
        url=url,
        model=model,
        window=window,
        is_strict=True,
        requests_running=_running_requests,
    )


def _busy_slots(client: httpx.Client, url: str) -> int:
    slots = client.get(f"{url}/slots").raise_for_status().json()
    return sum(bool(slot["is_processing"]) for slot in slots)


def _running_requests(client: httpx.Client, url: str) -> int:
    metrics = client.get(f"{url}/metrics").raise_for_status().text
    return int(sum(float(each) for each in _RUNNING.findall(metrics)))


def prompt(*turns: str) -> Prompt:
    """Return a conversation: a person and an assistant by turns."""
    roles = ("user", "assistant")
    said = tuple(
        Turn(role=roles[number % 2], text=text) for number, text in enumerate(turns)
    )
    return Prompt(system="Help.", turns=said, template="advise 1")


QUESTION = prompt("Name a colour.")
ENDLESS_QUESTION = prompt(f"Count {ENDLESS_WORD}.")


async def ask(
    expert: ExpertSettings,
    asked: Prompt = QUESTION,
    *,
    ceiling: int = 24,
    watch: Callable[[int], None] | None = None,
) -> ExpertAnswer:
    """Send one question, once, by the code that the product sends with."""
    wire = wire_for(expert.api)
    request = wire.encode(expert, asked, max_output_tokens=ceiling)
    async with new_client() as client:
        return await send(
            client, expert, wire, request, key=None, deadline_s=_WITHIN_S, watch=watch
        )
