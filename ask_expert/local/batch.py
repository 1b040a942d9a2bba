"""
Ask a local model in this very process, by vLLM's own engine: for offline evaluation.

No server and no HTTP: many conversations at a time, each chunk handed over whole, so
that the engine fills its batches. The package `vllm` is imported when one is opened.
"""

import importlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

from ask_expert.errors import ConfigError, LocalModelError
from ask_expert.local.answered import Answered, Request, Sample, Token
from ask_expert.local.launch import INSTALL

CHUNK = 64


class Batch:
    """
    One model in this process; from `opened`.

    Attributes:
        fingerprint: Engine and version, as `Answered.fingerprint` says it.
    """

    def __init__(
        self,
        vllm: Any,  # an optional package without types here
        engine: Any,
        *,
        clock_s: Callable[[], float],
    ) -> None:
        self._vllm = vllm
        self._engine = engine
        self._clock_s = clock_s
        self._refusals = _refusals()
        self.fingerprint = f"vllm-{vllm.__version__}"

    def answers(
        self, requests: Iterable[Request], *, chunk: int = CHUNK
    ) -> Iterator[Answered | LocalModelError]:
        """
        Yield what came of each request, in their order.

        A request that the engine turns down, as one beyond the window, yields its
        error; the others of its chunk are answered all the same. `choices` always
        hold, whatever `guide` says. `seconds` is a request's share of its chunk's.

        Args:
            requests: With seeds, where the answers are to be repeatable.
            chunk: Requests handed over at a time.

        Raises:
            ValueError: `chunk` is below 1.
        """
        if chunk < 1:
            raise ValueError(f"a chunk holds at least 1 request, not {chunk}")
        rest = iter(requests)
        while part := list(islice(rest, chunk)):
            yield from self._chunk(part)

    def _chunk(self, part: Sequence[Request]) -> list[Answered | LocalModelError]:
        found: dict[int, Answered | LocalModelError] = {}
        alike: dict[tuple[bool, bool], list[int]] = {}
        for number, request in enumerate(part):
            alike.setdefault((request.continues, request.thinks), []).append(number)
        for numbers in alike.values():
            came = self._together([part[number] for number in numbers])
            found |= dict(zip(numbers, came, strict=True))
        return [found[number] for number in range(len(part))]

    def _together(
        self, requests: Sequence[Request]
    ) -> list[Answered | LocalModelError]:
        """Ask several; where one of them spoils the lot, ask each alone."""
        try:
            return list(self._asked(requests))
        except self._refusals as error:
            if len(requests) == 1:
                return [LocalModelError(f"vLLM turned it down: {error}")]
        return [came for each in requests for came in self._together([each])]

    def _asked(self, requests: Sequence[Request]) -> list[Answered]:
        first = requests[0]
        messages = [
            [{"role": turn.role, "content": turn.text} for turn in request.turns]
            for request in requests
        ]
        began = self._clock_s()
        outputs = self._engine.chat(
            messages,
            [self._params(request) for request in requests],
            use_tqdm=False,
            add_generation_prompt=not first.continues,
            continue_final_message=first.continues,
            chat_template_kwargs={"enable_thinking": True} if first.thinks else None,
        )
        share_s = (self._clock_s() - began) / len(requests)
        return [
            Answered(
                samples=tuple(_sample(each, request) for each in output.outputs),
                input_tokens=len(output.prompt_token_ids or ()),
                cached_tokens=output.num_cached_tokens or 0,
                output_tokens=sum(len(each.token_ids) for each in output.outputs),
                seconds=share_s,
                fingerprint=self.fingerprint,
            )
            for output, request in zip(outputs, requests, strict=True)
        ]

    def _params(self, request: Request) -> Any:
        guided: dict[str, object] = {}
        if request.choices:
            sampling = importlib.import_module("vllm.sampling_params")
            structure = sampling.StructuredOutputsParams(choice=list(request.choices))
            guided = {"structured_outputs": structure}
        return self._vllm.SamplingParams(
            n=request.n,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            seed=request.seed,
            logprobs=request.top_logprobs,
            **guided,
        )


@contextmanager
def opened(
    model: str,
    *,
    options: Mapping[str, object] | None = None,
    clock_s: Callable[[], float] = time.monotonic,
) -> Generator[Batch]:
    """
    Load a model for the length of a `with` block.

    Args:
        model: A model of the hub, or a folder.
        options: Arguments of `vllm.LLM`, such as `tensor_parallel_size`, over ours.
        clock_s: The time, in seconds.

    Raises:
        ConfigError: vLLM is not installed here.
        LocalModelError: The model cannot be loaded.
    """
    try:
        vllm = cast("Any", importlib.import_module("vllm"))
    except ImportError as error:
        raise ConfigError(f"a batch in this process needs vLLM: {INSTALL}") from error
    given: dict[str, object] = {
        "generation_config": "vllm",
        "enable_prefix_caching": True,
        **(options or {}),
    }
    try:
        engine = vllm.LLM(model=model, **given)
    except (ValueError, OSError, RuntimeError) as error:
        raise LocalModelError(f"vLLM cannot load {model!r}: {error}") from error
    try:
        yield Batch(vllm, engine, clock_s=clock_s)
    finally:
        _shut_down(engine)


def _refusals() -> tuple[type[Exception], ...]:
    """Return what vLLM raises about a request; older ones raise ValueError alone."""
    try:
        own = importlib.import_module("vllm.exceptions").VLLMClientError
    except (ImportError, AttributeError):
        return (ValueError,)
    return (ValueError, own)


def _shut_down(engine: Any) -> None:
    """End the engine's own process now, not when the collector finds it."""
    core = getattr(getattr(engine, "llm_engine", None), "engine_core", None)
    end = getattr(core, "shutdown", None)
    if callable(end):
        end()


def _sample(output: Any, request: Request) -> Sample:
    tokens = None
    if request.top_logprobs is not None and output.logprobs is not None:
        told = zip(output.token_ids, output.logprobs, strict=True)
        tokens = tuple(_token(id_, here, request.top_logprobs) for id_, here in told)
    return Sample(
        text=output.text, finished=output.finish_reason == "stop", tokens=tokens
    )


def _token(id_: int, here: Mapping[int, Any], top: int) -> Token:
    likeliest = sorted(here.values(), key=lambda each: each.rank)[:top]
    return Token(
        text=here[id_].decoded_token or "",
        logprob=_finite(here[id_].logprob),
        top=tuple(
            (each.decoded_token or "", float(each.logprob))
            for each in likeliest
            if _finite(each.logprob) is not None
        ),
    )


def _finite(number: float) -> float | None:
    return float(number) if number - number == 0 else None
