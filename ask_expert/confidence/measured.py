"""What came of measuring one signal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    One signal, measured or not.

    Attributes:
        name: The signal, which is also the fact that rules test.
        value: The number; None when it was not measured.
        tokens: What measuring it added: prompt tokens that the server had not in its
            cache, and all that it wrote. A signal that comes with another's answer
            adds nothing, so that all of them sum up to the whole.
        seconds: What measuring it added.
        why_absent: The reason, when there is no value.
    """

    name: str
    value: float | None
    tokens: int = 0
    seconds: float = 0.0
    why_absent: str | None = None
