"""The bigger local model that stands in for a paid expert, at a made-up price."""

import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path

from ask_expert.errors import AskExpertError, LocalModelError
from ask_expert.local.gguf_server import serve_gguf
from ask_expert.local.weights import Progress, Report, Weights, find

INPUT_USD, OUTPUT_USD = Decimal("0.50"), Decimal("2.00")
"""The made-up price, USD per million tokens: about a small hosted model's."""

_STAND_IN = """\
# Written by `ask-expert demo`.
policy: balanced
experts:
  - name: stand-in
    api: openai_chat
    base_url: {url}/v1
    model: {model}
    # Made up: what a small hosted model costs. This one runs on your own machine.
    price: {{input_per_mtok: {input_usd}, output_per_mtok: {output_usd}}}
    max_output_tokens: 512
    context_window: 4096
    extra_body: {{temperature: 0}}  # the same answers in every run
send:
  # A small expert that is shown a wrong answer tends to repeat it.
  local_answer: omit
"""


class _StoppedError(LocalModelError):
    """The demo ended while something was still being fetched."""


class StandIn:
    """
    Fetches and serves the stand-in expert beside everything else.

    Args:
        weights: The expert's model.
        settings: File that appears once the expert can be asked.
        cache: Folder of model files.
        environ: See `find`.
        report: Told how far the download is, from another thread.
        failed: Gets the error when there will be no expert.
    """

    def __init__(
        self,
        weights: Weights,
        settings: Path,
        cache: Path,
        environ: Mapping[str, str],
        *,
        report: Report,
        failed: list[AskExpertError],
    ) -> None:
        self._weights = weights
        self._settings = settings
        self._cache = cache
        self._environ = environ
        self._tell = report
        self._failed = failed
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Generator[None]:
        """Start; the settings appear once it can be asked; stop at the end."""
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _serve(self) -> None:
        try:
            model = find(
                self._weights,
                cache=self._cache,
                environ=self._environ,
                report=self._report,
            )
            with serve_gguf(model, alias=self._weights.alias, threads=threads()) as url:
                _write_settings(self._settings, url, self._weights.alias)
                self._stop.wait()
        except AskExpertError as error:
            if not isinstance(error, _StoppedError):
                self._failed.append(error)

    def _report(self, step: Progress) -> None:
        if self._stop.is_set():
            raise _StoppedError("the demo has ended")
        self._tell(step)


def _write_settings(file: Path, url: str, model: str) -> None:
    """Write the settings in one piece: the agent begins to ask when they exist."""
    text = _STAND_IN.format(
        url=url, model=model, input_usd=INPUT_USD, output_usd=OUTPUT_USD
    )
    draft = file.with_suffix(".new")
    draft.write_text(text, "utf-8")
    draft.replace(file)


def threads() -> int:
    """Return 2, or 1 on one core: the two servers never work at the same time."""
    cores = os.cpu_count() or 1
    with suppress(AttributeError):
        cores = len(os.sched_getaffinity(0))
    return min(2, cores)
