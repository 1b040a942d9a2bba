"""One answer, the likeliest word at every place."""

from dataclasses import dataclass, replace

from ask_expert.errors import MissingToolError
from ask_expert.local.strategies.work import Meter, Seat, Solved, Work, request


@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy:
    """One answer at temperature 0."""

    name: str = "greedy"

    async def solve(self, seat: Seat, work: Work, meter: Meter) -> Solved:
        """Return it, checked where there is a check."""
        answered = await meter.ask(seat, request(work, greedy=True))
        text = answered.samples[0].text
        checked = await work.check(text) if work.check else None
        return Solved(
            text=text,
            strategy=self.name,
            tokens=meter.tokens,
            seconds=meter.seconds,
            answers=meter.answers,
            checked=checked,
            why="the only answer",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Think:
    """
    One greedy answer of a model that thinks first.

    Attributes:
        times: How much longer an answer may be than without thinking.
    """

    times: int = 4
    name: str = "think"

    async def solve(self, seat: Seat, work: Work, meter: Meter) -> Solved:
        """
        Return it without the thoughts.

        Raises:
            MissingToolError: The model has no thinking mode.
        """
        if not seat.thinks:
            raise MissingToolError(f"{seat.model.model} has no thinking mode.")
        longer = replace(request(work, greedy=True), thinks=True)
        longer = replace(longer, max_tokens=work.max_tokens * self.times)
        answered = await meter.ask(seat, longer)
        text = without_thoughts(answered.samples[0].text)
        checked = await work.check(text) if work.check else None
        return Solved(
            text=text,
            strategy=self.name,
            tokens=meter.tokens,
            seconds=meter.seconds,
            answers=meter.answers,
            checked=checked,
            why="the only answer, after thinking",
        )


def without_thoughts(text: str) -> str:
    """Return what stands behind the thoughts; "" when they never ended."""
    head, closed, tail = text.rpartition("</think>")
    if closed:
        return tail.strip()
    return "" if "<think>" in head + tail else text
