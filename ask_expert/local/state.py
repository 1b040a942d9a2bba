"""Look at the servers of local models: do they answer, what do they serve, how busy."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import anyio

from ask_expert.experts.http import MOST_BYTES, httpx, new_client
from ask_expert.local import metrics
from ask_expert.local.metrics import Metrics, Rates
from ask_expert.local_settings import LocalSettings

_WITHIN_S = 5.0
_NOT_THERE = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    What one server says of itself.

    Attributes:
        name: Its label in the settings.
        base_url: Its address.
        model: The model of the settings.
        answers: It can be reached.
        healthy: What its `/health` says; None when it has none.
        models: The models it serves.
        window: Tokens of prompt and answer together, as it says.
        metrics: The later of two readings; None when it has none.
        rates: What happened between the two.
        lacking: Why each part is not known.
    """

    name: str
    base_url: str
    model: str
    answers: bool = False
    healthy: bool | None = None
    models: tuple[str, ...] = ()
    window: int | None = None
    metrics: Metrics | None = None
    rates: Rates | None = None
    lacking: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def sound(self) -> bool:
        """Whether it can serve the model of the settings."""
        served = not self.models or self.model in self.models
        return self.answers and self.healthy is not False and served

    def as_json(self) -> dict[str, object]:
        """Return it for JSON."""
        told = asdict(self)
        if self.metrics is not None:
            told["metrics"]["hit_rate"] = self.metrics.hit_rate
        return {**told, "sound": self.sound}


async def states(
    client: httpx.AsyncClient,
    locals_: Sequence[LocalSettings],
    *,
    environ: Mapping[str, str],
    seconds: float,
    clock_s: Callable[[], float] = anyio.current_time,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> tuple[State, ...]:
    """
    Look at every server at the same time, twice.

    Args:
        client: Its proxies and certificates apply.
        locals_: From the settings.
        environ: Holds the keys that they name.
        seconds: Between the two readings of `/metrics`.
        clock_s: The time, in seconds.
        sleep: Waits.
    """
    found: dict[int, State] = {}

    async def look(number: int, local: LocalSettings) -> None:
        key = environ.get(local.key_env or "")
        server = _Server(client, local, key)
        found[number] = await server.state(seconds, clock_s, sleep)

    async with anyio.create_task_group() as group:
        for number, local in enumerate(locals_):
            group.start_soon(look, number, local)
    return tuple(found[number] for number in range(len(locals_)))


def look(
    locals_: Sequence[LocalSettings], *, environ: Mapping[str, str], seconds: float
) -> tuple[State, ...]:
    """Look at every server; see `states`."""

    async def looked() -> tuple[State, ...]:
        async with new_client() as client:
            return await states(client, locals_, environ=environ, seconds=seconds)

    return anyio.run(looked)


class _Server:
    def __init__(
        self, client: httpx.AsyncClient, local: LocalSettings, key: str | None
    ) -> None:
        self._client = client
        self._local = local
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._base = local.base_url.rstrip("/")
        self._root = self._base.removesuffix("/v1")

    async def state(
        self,
        seconds: float,
        clock_s: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> State:
        local = self._local
        lacking: dict[str, str] = {}
        known = State(
            name=local.label,
            base_url=local.base_url,
            model=local.model,
            lacking=lacking,
        )
        health, _ = await self._page(f"{self._root}/health", lacking, "health")
        listed, text = await self._page(f"{self._base}/models", lacking, "models")
        if health is None and listed is None:
            return known
        models, window = _models(text, local.model) if _good(listed) else ((), None)
        if _good(listed) and not models:
            lacking["models"] = "its list of models cannot be read"
        known = replace(
            known,
            answers=True,
            healthy=_health(health),
            models=models,
            window=window,
        )
        first, began = await self._metrics(lacking), clock_s()
        if first is None:
            return known
        await sleep(seconds)
        second, ended = await self._metrics(lacking), clock_s()
        if second is None:
            return replace(known, metrics=first)
        rates = metrics.between(first, second, ended - began)
        return replace(known, metrics=second, rates=rates)

    async def _metrics(self, lacking: dict[str, str]) -> Metrics | None:
        status, text = await self._page(f"{self._root}/metrics", lacking, "metrics")
        found = metrics.parse(text) if _good(status) else None
        if _good(status) and found is None:
            lacking["metrics"] = "its /metrics holds nothing that is known here"
        return found

    async def _page(
        self, url: str, lacking: dict[str, str], name: str
    ) -> tuple[int | None, str]:
        """Return a page's HTTP status and text; None when nobody answers."""
        data = bytearray()
        try:
            with anyio.fail_after(_WITHIN_S):
                async with self._client.stream(
                    "GET", url, headers=self._headers
                ) as response:
                    async for part in response.aiter_bytes():
                        data += part
                        if len(data) > MOST_BYTES:
                            lacking[name] = f"{url} sent over {MOST_BYTES:,} bytes"
                            return response.status_code, ""
        except TimeoutError:
            lacking[name] = f"{url} did not answer within {_WITHIN_S:g} s"
            return None, ""
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            lacking[name] = f"{url} cannot be reached ({type(error).__name__})"
            return None, ""
        if not response.is_success:
            lacking[name] = f"{url} answered HTTP {response.status_code}"
            if response.status_code == _NOT_THERE:
                lacking[name] = f"the server has no {url.removeprefix(self._root)}"
        return response.status_code, data.decode(errors="replace")


def _good(status: int | None) -> bool:
    return status is not None and status < 400  # noqa: PLR2004  # HTTP's own line


def _health(status: int | None) -> bool | None:
    return None if status == _NOT_THERE else _good(status)


def _models(text: str, model: str) -> tuple[tuple[str, ...], int | None]:
    """Return the models of a list, and the window of one of them."""
    try:
        rows = json.loads(text)["data"]
        told = {str(row["id"]): cast("dict[str, Any]", row) for row in rows}
    except (ValueError, LookupError, TypeError):
        return (), None
    row = told.get(model, {})
    meta = row.get("meta")
    inner = cast("dict[str, Any]", meta) if isinstance(meta, dict) else {}
    window = row.get("max_model_len", inner.get("n_ctx"))
    return tuple(told), window if isinstance(window, int) else None
