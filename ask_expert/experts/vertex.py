"""
Claude and Gemini on Google's Vertex AI: their own bodies, Google's address and token.

google-auth finds the credentials (`gcloud auth application-default login`, a file
that GOOGLE_APPLICATION_CREDENTIALS names, the machine's own) and renews their token.

Source:
    anthropic 2.12.0, `lib/vertex`; google-genai 3.4.0; Google's REST reference of
    generateContent and rawPredict, read 2026-11-22.
"""

import re
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from ask_expert.errors import ConfigError, ExpertError
from ask_expert.experts import failures, http
from ask_expert.experts.anthropic import Anthropic
from ask_expert.experts.clouds import claude_body, compact, refuse_dearer
from ask_expert.experts.gemini import Gemini
from ask_expert.experts.wire import WireRequest
from ask_expert.question import Prompt
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings, is_loopback

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

INSTALL = "pip install 'ask-expert[vertex]'"
_VERSION = "vertex-2023-10-16"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_MULTI_REGIONS = frozenset({"us", "eu"})
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}")
_PATH_VERSION = re.compile(r"/v\d+(alpha|beta)?\d*$")
_TOKEN_S = 30
_LOGIN = (
    "run `gcloud auth application-default login`, or set "
    "GOOGLE_APPLICATION_CREDENTIALS to a file of credentials"
)
_CREDENTIALS = "Google credentials (`gcloud auth list` shows whose)"


class _Vertex:
    """What the two have in common."""

    default_base_url = "https://aiplatform.googleapis.com"
    own_credentials = True

    def address(self, expert: ExpertSettings) -> str:
        """Return where it is served without a `base_url`."""
        region = expert.region or "global"
        if region == "global":
            return self.default_base_url
        if region in _MULTI_REGIONS:
            return f"https://aiplatform.{region}.rep.googleapis.com"
        return f"https://{region}-aiplatform.googleapis.com"

    def auth(
        self,
        expert: ExpertSettings,
        key: str,
        *,
        url: str,
        body: bytes,  # noqa: ARG002
    ) -> dict[str, str]:
        """See `Wire.auth`; a key is a token that `key_command` or `key_env` gave."""
        if key:
            return {"authorization": f"Bearer {key}"}
        host = urlsplit(url).hostname or ""
        if not (host.endswith(".googleapis.com") or is_loopback(url)):
            raise ConfigError(
                f"expert {expert.name!r}: your Google credentials go to Google only; "
                f"for {host} give `key_env` or `key_command`."
            )
        return default_credentials.headers(expert)

    def failure(
        self,
        expert: ExpertSettings,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> ExpertError:
        """See `Wire.failure`."""
        if status in _UNAUTHORISED:
            default_credentials.forget()  # credentials that changed are read anew
        return failures.failure(
            expert, status, headers, body, key_name="", signed_with=_CREDENTIALS
        )


_UNAUTHORISED = frozenset({401, 403})


class VertexAnthropic(_Vertex, Anthropic):
    """See `Wire`."""

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """See `Wire.encode`; the model and whether to stream are in the path."""
        refuse_dearer(expert, "x-vertex-ai-")
        plain = Anthropic.encode(
            self, expert, prompt, max_output_tokens=max_output_tokens
        )
        headers = {**plain.headers}
        headers.pop("anthropic-version")
        verb = "streamRawPredict" if plain.streams else "rawPredict"
        return replace(
            plain,
            path=_path(expert, "anthropic", verb),
            base_url=self.address(expert),
            headers=headers,
            body=compact(claude_body(plain, _VERSION)),
        )

    def decode(
        self, expert: ExpertSettings, body: bytes, headers: Mapping[str, str]
    ) -> ExpertAnswer:
        """See `Wire.decode`."""
        return _placed(expert, Anthropic.decode(self, expert, body, headers))


class VertexGemini(_Vertex, Gemini):
    """See `Wire`."""

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """See `Wire.encode`."""
        refuse_dearer(expert, "x-vertex-ai-")
        plain = Gemini.encode(self, expert, prompt, max_output_tokens=max_output_tokens)
        verb = plain.path.rpartition(":")[2]
        return replace(
            plain, path=_path(expert, "google", verb), base_url=self.address(expert)
        )

    def decode(
        self, expert: ExpertSettings, body: bytes, headers: Mapping[str, str]
    ) -> ExpertAnswer:
        """See `Wire.decode`."""
        return _placed(expert, Gemini.decode(self, expert, body, headers))


def _placed(expert: ExpertSettings, answer: ExpertAnswer) -> ExpertAnswer:
    told = answer.provenance
    return replace(
        answer, provenance=replace(told, region=told.region or expert.region)
    )


def _path(expert: ExpertSettings, publisher: str, verb: str) -> str:
    """
    Return the path of a model's method.

    Raises:
        ConfigError: The model could name another path, or no project is known.
    """
    model = expert.model.removeprefix("models/")
    if not _MODEL.fullmatch(model):
        raise ConfigError(
            f"expert {expert.name!r}: {expert.model[:60]!r} is no model of Vertex; "
            "give it as in `claude-opus-5-5` or `gemini-4-argon`.",
            key=f"experts.{expert.name}.model",
        )
    project = expert.project or default_credentials.project(expert)
    version = "" if _PATH_VERSION.search(expert.base_url or "") else "/v1"
    return (
        f"{version}/projects/{quote(project, safe=':')}/locations/{expert.region}"
        f"/publishers/{publisher}/models/{quote(model, safe='@')}:{verb}"
    )


class DefaultCredentials:
    """
    Google's default credentials, kept for the process; usable from many threads.

    Its methods block while a token is fetched.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: tuple[Credentials, str | None] | None = None

    def headers(self, expert: ExpertSettings) -> dict[str, str]:
        """
        Return the headers that carry a token that is still good.

        Raises:
            ConfigError: There are no credentials, or no token is given for them.
        """
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415  # an extra

        credentials, _ = self._load(expert)
        headers: dict[str, str] = {}
        try:
            with self._lock, http.httpx.Client(timeout=_TOKEN_S) as client:
                if not credentials.valid:
                    credentials.refresh(_Fetch(client))  # pyright: ignore[reportUnknownMemberType]
                credentials.apply(headers)  # pyright: ignore[reportUnknownMemberType]
        except GoogleAuthError as error:
            self.forget()  # a new login is to be found
            raise _unusable(expert, error) from error
        return headers

    def project(self, expert: ExpertSettings) -> str:
        """
        Return the project that the credentials name.

        Raises:
            ConfigError: There are no credentials, or they name none.
        """
        project = self._load(expert)[1]
        if project:
            return project
        raise ConfigError(
            f"expert {expert.name!r} has no project: give `project:` in settings.yaml, "
            "or set GOOGLE_CLOUD_PROJECT.",
            key=f"experts.{expert.name}.project",
        )

    def forget(self) -> None:
        """Look for credentials anew the next time."""
        with self._lock:
            self._found = None

    def _load(self, expert: ExpertSettings) -> "tuple[Credentials, str | None]":
        try:
            import google.auth  # noqa: PLC0415  # an extra
            from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(f"Vertex needs google-auth: {INSTALL}") from error
        with self._lock:
            if self._found is None:
                try:
                    with warnings.catch_warnings():
                        # A person's own credentials have no quota project: no news.
                        warnings.simplefilter("ignore", UserWarning)
                        self._found = google.auth.default(scopes=[_SCOPE])  # pyright: ignore[reportUnknownMemberType]
                except GoogleAuthError as error:
                    raise _unusable(expert, error) from error
            return self._found


default_credentials = DefaultCredentials()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """One reply of a token server, as google-auth reads it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _Fetch:
    """Fetches for google-auth with our own client: its proxies, its certificates."""

    def __init__(self, client: http.httpx.Client) -> None:
        self._client = client

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> _Fetched:
        from google.auth.exceptions import TransportError  # noqa: PLC0415  # an extra

        try:
            reply = self._client.request(
                method,
                url,
                content=body,
                headers=dict(headers or {}),
                timeout=timeout or _TOKEN_S,
            )
        except (http.httpx.HTTPError, http.httpx.InvalidURL) as error:
            raise TransportError(f"{type(error).__name__} at {url}") from error
        return _Fetched(
            status=reply.status_code,
            headers=dict(reply.headers.items()),
            data=reply.content,
        )


def _unusable(expert: ExpertSettings, error: Exception) -> ConfigError:
    why = " ".join(str(error.args[0] if error.args else error).split())[:300]
    return ConfigError(
        f"expert {expert.name!r}: Google gives no token ({why.rstrip('.')}); {_LOGIN}."
    )
