"""Logs to standard error, JSON or pretty, with every line masked."""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, cast

import structlog


class _Scrubber:
    """Masks what is logged; until the house's masker is built, by the rules alone."""

    def __init__(self) -> None:
        self.scrub: Callable[[str], str] | None = None

    def text(self, text: str) -> str:
        """Return a masked text."""
        if self.scrub is not None:
            return self.scrub(text)
        # Nothing that takes time is imported before the client has its first answer.
        from ask_expert.redaction.plain import without_secrets  # noqa: PLC0415

        return without_secrets(text)

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        del logger, method
        return {
            key: self.text(value) if isinstance(value, str) else value
            for key, value in event.items()
        }

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask a record of the standard library's logging."""
        text = record.getMessage()
        if record.exc_info:
            text += f"\n{_plain_form.formatException(record.exc_info)}"
        record.msg, record.args = self.text(text), ()
        record.exc_info = record.exc_text = None
        return True


_plain_form = logging.Formatter("%(levelname)s %(name)s: %(message)s")
_scrubber = _Scrubber()
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(*, level: str = "info", form: str = "json") -> None:
    """Send every log line to standard error; standard output is the protocol's."""
    render: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if form == "pretty"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _scrubber,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_scrubber)
    handler.setFormatter(_plain_form)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def scrub_with(scrub: Callable[[str], str], *, level: str, form: str) -> None:
    """Mask every line from now on, and log as the settings say."""
    _scrubber.scrub = scrub
    configure(level=level, form=form)


def scrubbed(text: str) -> str:
    """Return a sentence with every secret masked, as a log line has it."""
    return _scrubber.text(text)


def log() -> structlog.stdlib.BoundLogger:
    """Return the server's logger."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger("ask_expert"))
