"""An answer, what the check says of it, and another answer that has seen both."""

from dataclasses import dataclass, replace

from ask_expert.errors import MissingToolError
from ask_expert.local.strategies.work import Meter, Seat, Solved, Work, request
from ask_expert.question import Turn

_OUTPUT_CHARS = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Refine:
    """
    Greedy, then mended up to `rounds` times by the check's own output.

    Attributes:
        rounds: How often it may be mended.
    """

    rounds: int = 2
    name: str = "refine"

    async def solve(self, seat: Seat, work: Work, meter: Meter) -> Solved:
        """
        Return the answer that passed, else the one of which the largest share did.

        Raises:
            MissingToolError: There is no check.
        """
        if work.check is None:
            raise MissingToolError("Refining needs a check.")
        asked = request(work, greedy=True)
        text = (await meter.ask(seat, asked)).samples[0].text
        checked = await work.check(text)
        best = (checked, text)
        for number in range(self.rounds):
            if checked.passed or meter.is_used_up:
                break
            again = replace(
                request(work),
                turns=(*work.turns, *_complaint(text, checked.output)),
                seed=work.seed + number + 1,
            )
            text = (await meter.ask(seat, again)).samples[0].text
            checked = await work.check(text)
            if checked.share > best[0].share or checked.passed:
                best = (checked, text)
        return Solved(
            text=best[1],
            strategy=self.name,
            tokens=meter.tokens,
            seconds=meter.seconds,
            answers=meter.answers,
            checked=best[0],
            score=best[0].share,
            why=f"mended {meter.answers - 1} times",
        )


def _complaint(text: str, output: str) -> tuple[Turn, Turn]:
    return (
        Turn(role="assistant", text=text),
        Turn(
            role="user",
            text=f"That is wrong:\n{output[-_OUTPUT_CHARS:]}\n"
            "Reply with the whole corrected answer.",
        ),
    )
