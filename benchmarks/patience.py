"""
An expert that takes 90 s, behind clients that do not wait so long.

`python -m benchmarks.patience [--scale S] [--servers N] [--write]` starts real servers with real
clients, each case with a loopback provider that is a process of its own, and counts
what the provider was asked and what the ledger charged. Times are in seconds of the
real run; `--scale 0.05` makes all of them twenty times shorter. The exit status is 1
if an answer is lost or paid twice.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import anyio
from mcp import Client, MCPError, StdioServerParameters

from ask_expert.money import show
from benchmarks import results
from tests.end_to_end.support import (
    ask,
    environment,
    expert,
    rows,
    write_settings,
)
from tests.fakes import provider as fake

EXPERT_S = 90.0
GIVES_UP_S = 60.0
CLOSES_S = 30.0
PENDING_S = 50.0
PATIENT_S = 150.0
SERVERS = 10
COST_NUSD = 420_000
"""120 tokens at $1 and 30 at $10 per million, in nano-dollars."""

TEXT = "Hold the lock while the counter is written."
QUESTION = "Why does it hang?"


@dataclass(slots=True, kw_only=True)
class Case:
    """
    One case on the way.

    Attributes:
        home: Its home folder.
        scale: What the real times are multiplied by.
        servers: How many are asked at once, where several are.
        began: On the monotonic clock.
        story: What was told when, in words.
        replies: The last reply of each agent.
    """

    home: Path
    scale: float
    servers: int = SERVERS
    began: float = field(default_factory=time.monotonic)
    story: list[str] = field(default_factory=list[str])
    replies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def note(self, what: str) -> None:
        """Add to the story, with the time."""
        self.story.append(f"{what} at {time.monotonic() - self.began:.0f} s")

    def end(self, reply: dict[str, Any]) -> None:
        """Take an agent's last reply."""
        self.replies.append(reply)
        again = ", from the ledger" if reply.get("cached") else ""
        self.note(f"`{reply['status']}`{again}")

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Yield a client with a server of its own that is warm."""
        parameters = StdioServerParameters(
            command=sys.executable,
            args=["-m", "ask_expert", "serve", "--log-level", "error"],
            env=environment(self.home),
            cwd=str(self.home.parent),
        )
        async with Client(parameters) as client:
            await client.call_tool("expert_status", {})
            yield client


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One case, done: its story, and what both sides have on record."""

    name: str
    story: str
    requests: int
    billed: int
    states: list[str]
    cost_nusd: int
    answers: int
    agents: int

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost and nothing paid twice."""
        once = (self.requests, self.billed, self.states) == (1, 1, ["settled"])
        return once and self.cost_nusd == COST_NUSD and self.answers == self.agents


async def pending_then_fetched(case: Case) -> None:
    """The server says `pending` in time; the agent asks for the answer later."""
    async with case.client() as client:
        case.began = time.monotonic()
        first = await ask(client, QUESTION)
        case.note(f"`{first['status']}`")
        case.end(await fetched(client, first["question_id"]))


async def gives_up_and_asks_again(case: Case) -> None:
    """The client's own time-out ends the call; the agent asks the same again."""
    async with case.client() as client:
        case.began = time.monotonic()
        with suppress(MCPError):
            await client.call_tool(
                "ask_expert",
                {"question": QUESTION},
                read_timeout_seconds=GIVES_UP_S * case.scale,
            )
        case.note("the client gives up")
        case.end(await ask(client, QUESTION))


async def closes_and_comes_back(case: Case) -> None:
    """The client ends, and ends its server; the next session asks the same."""

    async def in_vain(client: Client) -> None:
        with suppress(MCPError):
            await client.call_tool("ask_expert", {"question": QUESTION})

    async with anyio.create_task_group() as tasks, case.client() as client:
        case.began = time.monotonic()
        tasks.start_soon(in_vain, client)
        await anyio.sleep(CLOSES_S * case.scale)
        case.note("the client closes")
    case.note("the process it started is gone")
    async with case.client() as client:
        case.end(await ask(client, QUESTION))


async def all_at_once(case: Case) -> None:
    """Several servers on one ledger are asked the same at once."""
    ready = [anyio.Event() for _ in range(case.servers)]

    async def one(mine: anyio.Event) -> None:
        async with case.client() as client:
            mine.set()
            for each in ready:
                await each.wait()
            case.began = time.monotonic()
            case.end(await ask(client, QUESTION))

    async with anyio.create_task_group() as tasks:
        for mine in ready:
            tasks.start_soon(one, mine)


Story = Callable[[Case], Awaitable[None]]
ONE: list[tuple[str, Story, float]] = [
    ("the server says `pending` in time", pending_then_fetched, PENDING_S),
    ("the client gives up and asks again", gives_up_and_asks_again, PATIENT_S),
    ("the client closes; the next session asks", closes_and_comes_back, PATIENT_S),
]
MANY: list[tuple[str, Story, float]] = [
    ("all servers on one ledger are asked at once", all_at_once, PATIENT_S)
]


async def fetched(client: Client, question_id: str) -> dict[str, Any]:
    """Ask for an answer until it is there."""
    while True:
        result = await client.call_tool("expert_status", {"question_id": question_id})
        reply = dict(result.structured_content or {})
        if reply.get("status") != "pending":
            return reply
        await anyio.sleep(0.2)


@contextmanager
def slow_provider(seconds: float) -> Generator[str]:
    """Yield the address of a provider, a process of its own, that thinks so long."""
    command = [sys.executable, fake.__file__, "--answer", TEXT]
    process = subprocess.Popen(
        [*command, "--delay-s", str(seconds)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate()


async def run(
    name: str, story: Story, patience_s: float, *, scale: float, servers: int
) -> Ended:
    """Live through one case, and count."""
    with (
        tempfile.TemporaryDirectory() as folder,
        slow_provider(EXPERT_S * scale) as url,
    ):
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        slow = expert(url, timeout_s=600)
        write_settings(home, slow, answer_within_s=patience_s * scale)
        case = Case(home=home, scale=scale, servers=servers)
        await story(case)
        state = record_of(url)
        tries = rows(home, "SELECT state, coalesce(cost_nusd, 0) FROM tries")
    return Ended(
        name=name,
        story="; ".join(
            f"{times} × {what}" if times > 1 else what
            for what, times in Counter(case.story).items()
        ),
        requests=len(state["requests"]),
        billed=len(state["bill"]),
        states=[state for state, _ in tries],
        cost_nusd=sum(cost for _, cost in tries),
        answers=sum(TEXT in reply.get("answer", "") for reply in case.replies),
        agents=len(case.replies),
    )


def record_of(url: str) -> dict[str, Any]:
    """Return the provider's requests and bill."""
    with urlopen(f"{url}/_fake/state") as response:  # noqa: S310  # loopback
        return json.load(response)


async def every(scale: float, servers: int) -> list[Ended]:
    """Run the cases of one client side by side, then the one of several servers."""
    found: dict[str, Ended] = {}

    async def one(name: str, story: Story, patience_s: float) -> None:
        found[name] = await run(name, story, patience_s, scale=scale, servers=servers)

    for group in (ONE, MANY):
        async with anyio.create_task_group() as tasks:
            for each in group:
                tasks.start_soon(one, *each)
    return [found[name] for name, _, _ in (*ONE, *MANY)]


def table(ended: list[Ended]) -> list[str]:
    """Return one line a case."""
    return results.table(
        ["case", "what the agent saw", "requests", "charges", "charged", "answers"],
        [
            [
                each.name,
                each.story,
                each.requests,
                each.states.count("settled") + each.states.count("unresolved"),
                show(each.cost_nusd),
                f"{each.answers} of {each.agents}",
            ]
            for each in ended
        ],
    )


def main() -> None:
    """Print the table; keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--servers", type=int, default=SERVERS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    scale: float = options.scale
    ended = anyio.run(every, scale, options.servers)
    section = "\n".join(
        [
            "## Patience",
            "",
            f"{results.made_by('patience --write')}; an expert that takes "
            f"{EXPERT_S * scale:g} s, a client that gives up at "
            f"{GIVES_UP_S * scale:g} s or closes at {CLOSES_S * scale:g} s (and, as "
            "the SDK does, kills its server 4 s later).",
            "",
            *table(ended),
            "",
        ]
    )
    print(section)
    wrong = [each for each in ended if not each.is_right]
    for each in wrong:
        print(f"WRONG: {each}", file=sys.stderr)
    if options.write:
        results.keep(section)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
