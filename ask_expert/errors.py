"""
Every exception this package raises on purpose.

AskExpertError
├── ConfigError                 a settings or policy file is wrong
├── InvalidQuestionError        the agent's arguments cannot be used as they are
├── SecretLeakError             a secret was found in bytes about to leave
├── UnknownPriceError           no price is known for a model
├── LedgerError                 the ledger could not be read or written
│   ├── LedgerBusyError             another process holds the lock, or the disk is full
│   └── NameTakenError              a token in use has the name already
├── LocalModelError             the local model cannot be served or asked
│   └── WeightsError                its file cannot be had, or holds the wrong bytes
├── SignalAbsentError           a signal could not be measured
└── ExpertError                 an expert was asked and gave no usable answer
    ├── ExpertUnavailableError      connect error, 408, 409, 429, 5xx: worth another try
    ├── ExpertRejectedError         400, 401, 403, 404, 413, 422, no quota: a retry cannot help
    └── ExpertReplyError            the reply broke off or makes no sense; it may be billed
"""

from pathlib import Path
from typing import ClassVar, Literal

Billed = Literal["no", "unknown"]
"""Whether a failed call can have cost money."""


class AskExpertError(Exception):
    """
    Base class of all errors above.

    Attributes:
        hint: What the reader can do about it, as one imperative sentence.
        retryable: Whether the same call may succeed later, unchanged.
    """

    hint: ClassVar[str] = ""
    retryable: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{super().__str__()} {self.hint}".rstrip()


class ConfigError(AskExpertError):
    """
    A settings or policy file, a flag or an environment variable is wrong.

    Attributes:
        file: The file at fault, if there is one.
        line: Its line, counted from 1, if known.
        key: The dotted key at fault, e.g. `budgets.1.usd`.
    """

    def __init__(
        self,
        message: str,
        *,
        file: Path | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        place = f"{file}:{line}" if file and line else str(file) if file else ""
        parts = [part for part in (place, key and f"{key!r}", message) if part]
        super().__init__(": ".join(parts))
        self.file = file
        self.line = line
        self.key = key


class InvalidQuestionError(AskExpertError):
    """The agent's arguments cannot be used; the text says how to mend them."""


class SecretLeakError(AskExpertError):
    """A secret survived masking in the bytes that were about to leave."""

    hint = "Remove it from the question or file; nothing was sent."

    def __init__(self, kinds: tuple[str, ...]) -> None:
        super().__init__(f"The request still held {', '.join(kinds)}.")
        self.kinds = kinds


class UnknownPriceError(AskExpertError):
    """No price is known for a model, so its cost cannot be bounded."""

    hint = "Give `price:` for this expert in settings.yaml."

    def __init__(self, model: str) -> None:
        super().__init__(f"No price is known for model {model!r}.")
        self.model = model


class LedgerError(AskExpertError):
    """The ledger could not be read or written."""


class LedgerBusyError(LedgerError):
    """The ledger is locked, read-only, full, or its server cannot be reached."""

    retryable = True


class NameTakenError(LedgerError):
    """An access token in use has the name that a new one shall have."""


class MissingToolError(AskExpertError):
    """A local strategy cannot run: what it chooses by, or needs, is not there."""


class LocalModelError(AskExpertError):
    """
    The local model cannot be served, or gave no usable answer.

    Attributes:
        http_status: The server's status, if it replied with one.
    """

    def __init__(self, message: str, *, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class WeightsError(LocalModelError):
    """A model's file cannot be had from anywhere, or holds the wrong bytes."""


class SignalAbsentError(AskExpertError):
    """A signal could not be measured; the text is the reason."""


class ExpertError(AskExpertError):
    """
    An expert was asked and gave no usable answer.

    Attributes:
        expert: The expert's name in the settings.
        billed: `no` only when surely nothing was billed.
        http_status: The reply's status, if there was a reply.
        retry_after_s: Seconds the provider asked us to wait, if it did.
        request_id: The provider's id of the request, if it gave one.
        told: The provider's own words in the message, whole; they are cut for people
            once they are masked.
    """

    billed: Billed = "unknown"

    def __init__(
        self,
        expert: str,
        message: str,
        *,
        billed: Billed | None = None,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        told: str = "",
    ) -> None:
        super().__init__(f"{expert}: {message}")
        self.expert = expert
        if billed is not None:
            self.billed = billed
        self.http_status = http_status
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.told = told


class ExpertUnavailableError(ExpertError):
    """The expert could not be reached or is overloaded."""

    retryable = True


class ExpertRejectedError(ExpertError):
    """The provider turned the request down before any work."""

    billed: Billed = "no"


class ExpertReplyError(ExpertError):
    """The reply broke off, timed out or cannot be parsed; it may be billed."""
