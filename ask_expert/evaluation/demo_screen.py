"""What the demo shows: downloads, the agent's steps, the end."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from ask_expert.local import weights

_PLAIN_STEP = 0.25
"""Share of a file between two lines where there is no terminal to draw a bar on."""
_LINE_CHARS = 100


class DemoScreen(AbstractContextManager["DemoScreen"]):
    """
    Prints as things happen; bars on a terminal, lines elsewhere.

    Args:
        console: Where to; may be written to by several threads.
        tasks: How many tasks there will be.
    """

    def __init__(self, console: Console, *, tasks: int) -> None:
        self._console = console
        self._tasks = tasks
        self._begun = 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar_of: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def say(self, text: str = "", style: str = "") -> None:
        """Print one line; nothing in it can steer the terminal."""
        shown = "".join(each if each.isprintable() else " " for each in text)
        self._console.print(Text(shown, style=style), soft_wrap=True)

    def title(self, text: str) -> None:
        """Print a heading."""
        self.say()
        self.say(text, "bold")

    def table(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Print rows in columns."""
        width = max((len(row[0]) for row in rows), default=0) + 2
        for row in rows:
            self.say(f"  {row[0]:<{width}}{'  '.join(row[1:])}".rstrip())

    def fetching(self, step: weights.Progress) -> None:
        """Show how far a download is; a note is printed as it is."""
        name, total = step.weights.name, step.weights.size_bytes
        if step.note:
            self.say(f"  {name}: {_short(step.note)}", "yellow")
            self._forget(name)
            return
        if name not in self._told:
            size = f"{total / 1e6:,.0f} MB"
            self.say(f"  fetching {name}, {size}, from {_short(step.source)}")
            self._bar_of[name] = self._bars.add_task(name, total=total)
            self._told[name] = 0.0
        self._bars.update(self._bar_of[name], completed=step.done_bytes)
        share = step.done_bytes / total
        if share >= self._told[name] + _PLAIN_STEP and not self._console.is_terminal:
            self._told[name] = share
            self.say(f"  {name}: {share:.0%}")

    def _forget(self, name: str) -> None:
        if name in self._bar_of:
            self._bars.remove_task(self._bar_of.pop(name))
        self._told.pop(name, None)

    def event(self, event: Mapping[str, Any]) -> None:
        """Show one event of the agent."""
        match event["event"]:
            case "task":
                self._begun += 1
                self.say()
                head = f"[{self._begun}/{self._tasks}] {event['task']}"
                self.say(f"{head}  {_short(event['text'])}", "bold")
            case "tried":
                who = _WHO[event["step"]]
                says = "passes" if event["passed"] else _failure(event["output"])
                self._step(event, f"{who}: {says}")
            case "stuck":
                self._step(event, "stuck, so it calls ask_expert")
            case "asked":
                cost = f", ${event['cost_usd']}" if event["cost_usd"] != "0" else ""
                told = f"{event['status']} in {event['seconds']} s{cost}"
                self._step(event, f"ask_expert: {told} – {_short(event['reason'])}")
            case "result":
                ending = event["ending"]
                text = f"{ending.replace('_', ' ')} ({event['seconds']} s)"
                self._step(event, text, _STYLES[ending])
            case _:
                return

    def _step(self, event: Mapping[str, Any], text: str, style: str = "") -> None:
        self.say(f"  {event['task']}  {text}", style)


_WHO = {
    "local": "the local model's code",
    "expert_code": "the expert's code",
    "rewrite": "the local model's code, rewritten after the advice,",
}
_STYLES = {"solved_alone": "green", "solved_after_asking": "cyan", "unsolved": "red"}


def _failure(output: str) -> str:
    """Return the line of a failure that says most."""
    lines = [line for line in output.splitlines() if line.strip()]
    return f"fails, {_short(lines[-1].removeprefix('failed: '))}" if lines else "fails"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 1]}…"
