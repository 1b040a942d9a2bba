"""
The assess step: measure what the policy names, cheapest first, within its limits.

It stops when the decision can no longer change. What is not measured has a reason.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

import anyio

from ask_expert.confidence.measured import Measured
from ask_expert.confidence.signals.registry import SIGNALS, Signal
from ask_expert.confidence.sitting import Sitting
from ask_expert.errors import LocalModelError, SignalAbsentError
from ask_expert.local.client import BUSY
from ask_expert.question import Facts

CanChange = Callable[[Facts, Collection[str]], bool]
"""Whether the decision on these facts may still change by those that are pending."""

Calibrate = Callable[[Facts], Facts]
"""Returns the facts with the `confidence` that a calibration makes of them, if any."""

DECIDED = "the decision cannot change any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What is measured, and within which limits.

    Attributes:
        signals: Names; the order does not matter.
        max_seconds: For all of them together, finding out what the server can
            included.
        can_change: Asked before each; False ends the step.
        calibrate: Applied after each signal.
        moves_confidence: Signals that the calibration takes.
    """

    signals: Sequence[str]
    max_seconds: float
    can_change: CanChange
    calibrate: Calibrate = dict
    moves_confidence: Collection[str] = ()


@dataclass(slots=True, kw_only=True)
class Step:
    """
    The step under way.

    Attributes:
        plan: What is measured.
        sit: Brings the problem before the local model.
        clock_s: Monotonic seconds.
        sitting: The problem before the model, once it is.
        found: What was measured so far.
    """

    plan: Plan
    sit: Callable[[], Awaitable[Sitting]]
    clock_s: Callable[[], float]
    sitting: Sitting | None = None
    found: list[Measured] = field(default_factory=list[Measured])

    async def run(self, facts: Facts) -> tuple[Measured, ...]:
        """
        Measure, and return every signal of the plan, absent ones included.

        Args:
            facts: What is known before.
        """
        known = self.plan.calibrate(facts)
        pending = [name for name in SIGNALS if name in self.plan.signals]
        deadline_s = self.clock_s() + self.plan.max_seconds
        stopped: str | None = None
        while pending:
            if stopped is None and not self.plan.can_change(known, self._open(pending)):
                stopped = DECIDED
            signal = SIGNALS[pending.pop(0)]
            if stopped is not None:
                self.found.append(
                    Measured(name=signal.name, value=None, why_absent=stopped)
                )
                continue
            measured, stopped = await self._one(signal, deadline_s)
            self.found.append(measured)
            if measured.value is not None:
                known = self.plan.calibrate({**known, signal.name: measured.value})
        return tuple(self.found)

    def _open(self, pending: Sequence[str]) -> list[str]:
        """Return the facts that measuring these signals may still change."""
        moves = any(name in self.plan.moves_confidence for name in pending)
        return [*pending, *(["confidence"] if moves else [])]

    async def _one(
        self, signal: Signal, deadline_s: float
    ) -> tuple[Measured, str | None]:
        """Return one signal, and why no further one can be measured, if so."""
        began, before = self.clock_s(), self._tokens
        value: float | None = None
        why = f"the time of {self.plan.max_seconds:g} s is over"
        stopped: str | None = why
        with anyio.move_on_after(max(0.0, deadline_s - began)):
            try:
                value, stopped = await self._value(signal), None
            except SignalAbsentError as error:
                why, stopped = str(error), None
            except LocalModelError as error:
                why = str(error)
                gone = self.sitting is None or error.http_status in {None, *BUSY}
                stopped = why if gone else None
        measured = Measured(
            name=signal.name,
            value=value,
            tokens=self._tokens - before,
            seconds=self.clock_s() - began,
            why_absent=None if value is not None else why,
        )
        return measured, stopped

    async def _value(self, signal: Signal) -> float:
        if self.sitting is None:
            self.sitting = await self.sit()
        missing = signal.missing(self.sitting.can)
        if missing is not None:
            raise SignalAbsentError(missing)
        return await signal.measure(self.sitting)

    @property
    def _tokens(self) -> int:
        return 0 if self.sitting is None else self.sitting.tokens
