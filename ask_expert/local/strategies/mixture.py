"""Two local models: the second is asked where the first is not sure."""

from collections.abc import Sequence
from dataclasses import dataclass

from ask_expert.errors import LocalModelError, MissingToolError
from ask_expert.local.strategies.vote import winner
from ask_expert.local.strategies.work import Checked, Meter, Seat, Solved, Work, request


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """
    One greedy answer of each of several models.

    With a check, they are asked in turn until one passes. Without, all are asked
    and the answer that most of them give wins; among equals, the first model's.

    Attributes:
        others: The models beside the first.
    """

    others: tuple[Seat, ...]
    name: str = "mixture"

    async def solve(self, seat: Seat, work: Work, meter: Meter) -> Solved:
        """
        Return the answer; a model that cannot be asked is passed over.

        Raises:
            MissingToolError: Nothing tells answers apart.
        """
        if work.check is None and work.label is None:
            raise MissingToolError("A mixture needs a check, or answers to compare.")
        texts: list[str] = []
        names: list[str] = []
        best: tuple[Checked, int] | None = None
        failed: LocalModelError | None = None
        for each in (seat, *self.others):
            if texts and (meter.is_used_up or (best and best[0].passed)):
                break
            try:
                answered = await meter.ask(each, request(work, greedy=True))
            except LocalModelError as error:
                failed = error
                continue
            texts.append(answered.samples[0].text)
            names.append(each.model.model)
            if work.check is not None:
                checked = await work.check(texts[-1])
                if best is None or checked.share > best[0].share:
                    best = (checked, len(texts) - 1)
        if not texts:
            raise failed or LocalModelError("no local model could be asked")
        place, share = (best[1], best[0].share) if best else await _elected(work, texts)
        return Solved(
            text=texts[place],
            strategy=self.name,
            tokens=meter.tokens,
            seconds=meter.seconds,
            answers=meter.answers,
            checked=best[0] if best else None,
            score=share,
            why=f"{names[place]}, of {', '.join(names)}",
        )


async def _elected(work: Work, texts: Sequence[str]) -> tuple[int, float]:
    labels = await work.label(texts) if work.label else [None] * len(texts)
    return winner(labels, [1.0] * len(texts))
