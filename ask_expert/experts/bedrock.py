"""
Claude on Amazon Bedrock: Anthropic Messages under AWS's address and signature.

botocore finds the credentials (variables, profiles, single sign-on, the machine's
role) and signs; a Bedrock API key, where there is one, is sent in their place.

Source:
    anthropic 2.12.0, `lib/bedrock`; the Bedrock API reference of InvokeModel, read
    2026-11-22.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Protocol, cast
from urllib.parse import quote, urlsplit

from ask_expert.errors import ConfigError, ExpertError, ExpertUnavailableError
from ask_expert.experts import failures
from ask_expert.experts.anthropic import Anthropic
from ask_expert.experts.aws_stream import CONTENT_TYPE, INSTALL
from ask_expert.experts.clouds import claude_body, compact, refuse_dearer
from ask_expert.experts.wire import WireRequest
from ask_expert.question import Prompt
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings

_VERSION = "bedrock-2023-05-31"
_KEY_NAME = "AWS_BEARER_TOKEN_BEDROCK"
_CREDENTIALS = "AWS credentials (`aws sts get-caller-identity` shows whose)"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,1999}")
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.")
_WORKED = frozenset({408, 424})
"""The model ran out of time, or failed, while it worked."""

_NO_CREDENTIALS = (
    "there are no AWS credentials: run `aws sso login`, set AWS_PROFILE, or set "
    f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or {_KEY_NAME}."
)
_FORBIDDEN = 403


class Session(Protocol):
    """What is used of botocore's `Session`, which has no types."""

    def get_config_variable(self, name: str) -> str | None:
        """Return a setting of the environment or the profile."""
        ...

    def get_credentials(self) -> Any:  # botocore has no types
        """Return credentials that renew themselves, or None."""
        ...


class Bedrock(Anthropic):
    """See `Wire`."""

    default_base_url = "https://bedrock-runtime.us-east-1.amazonaws.com"
    own_credentials = True

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """See `Wire.encode`; the model and whether to stream are in the path."""
        session()
        refuse_dearer(expert, "x-amzn-bedrock-")
        plain = super().encode(expert, prompt, max_output_tokens=max_output_tokens)
        body = claude_body(plain, _VERSION)
        body.pop("stream", None)
        headers = {**plain.headers}
        headers.pop("anthropic-version")
        betas = headers.pop("anthropic-beta", None)
        if betas:
            body["anthropic_beta"] = [each.strip() for each in betas.split(",")]
        if plain.streams:
            headers["accept"] = f"{CONTENT_TYPE}, application/json"
        verb = "invoke-with-response-stream" if plain.streams else "invoke"
        return replace(
            plain,
            path=f"/model/{_model(expert)}/{verb}",
            base_url=self.address(expert),
            headers=headers,
            body=compact(body),
        )

    def address(self, expert: ExpertSettings) -> str:
        """
        Return where it is served without a `base_url`.

        Raises:
            ConfigError: No region is named anywhere.
        """
        return f"https://bedrock-runtime.{region_of(expert)}.amazonaws.com"

    def auth(
        self, expert: ExpertSettings, key: str, *, url: str, body: bytes
    ) -> dict[str, str]:
        """See `Wire.auth`."""
        if key:
            return {"authorization": f"Bearer {key}"}
        return _signature(expert, url, body)

    def decode(
        self, expert: ExpertSettings, body: bytes, headers: Mapping[str, str]
    ) -> ExpertAnswer:
        """See `Wire.decode`."""
        answer = super().decode(expert, body, headers)
        told = answer.provenance
        told = replace(told, region=told.region or region_of(expert))
        return replace(answer, provenance=told)

    def failure(
        self,
        expert: ExpertSettings,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> ExpertError:
        """See `Wire.failure`; a model that failed while it worked may be billed."""
        if status == _FORBIDDEN:
            session.cache_clear()  # credentials that ran out are read anew
        error = failures.failure(
            expert, status, headers, body, key_name=_KEY_NAME, signed_with=_CREDENTIALS
        )
        if status in _WORKED:
            return ExpertUnavailableError(
                expert.name,
                f"{error.args[0].partition(': ')[2]} It may have been billed.",
                billed="unknown",
                http_status=status,
                request_id=error.request_id,
            )
        return error


@cache
def session() -> Session:
    """
    Return botocore's session; it keeps credentials and renews them.

    Raises:
        ConfigError: botocore is not installed.
    """
    try:
        import botocore.session  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise ConfigError(f"Bedrock needs botocore: {INSTALL}") from error
    return cast("Session", botocore.session.Session())


def region_of(expert: ExpertSettings) -> str:
    """
    Return the region asked: of the settings, the address, the environment or profile.

    Raises:
        ConfigError: None is named anywhere.
    """
    if expert.region is not None:
        return expert.region
    named = _REGION.search(urlsplit(expert.base_url or "").hostname or "")
    if named:
        return named.group(1)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # an extra

    try:
        found = session().get_config_variable("region")
    except (BotoCoreError, ClientError) as error:
        raise _unusable(expert, error) from error
    if found:
        return found
    raise ConfigError(
        f"expert {expert.name!r} has no region: give `region:` in settings.yaml, or "
        "set AWS_REGION.",
        key=f"experts.{expert.name}.region",
    )


def _model(expert: ExpertSettings) -> str:
    """
    Return the model, or the ARN of an inference profile, as a part of a path.

    Raises:
        ConfigError: It could name another path than a model's.
    """
    if not _MODEL.fullmatch(expert.model):
        raise ConfigError(
            f"expert {expert.name!r}: {expert.model[:60]!r} is no model of Bedrock; "
            "give it as in `us.anthropic.claude-opus-5-5`.",
            key=f"experts.{expert.name}.model",
        )
    return quote(expert.model, safe=":")


def _signature(expert: ExpertSettings, url: str, body: bytes) -> dict[str, str]:
    """Return AWS's signature, version 4, of address, host, time and body."""
    from botocore import auth, awsrequest  # noqa: PLC0415  # an extra
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # an extra

    request = cast("Any", awsrequest.AWSRequest(method="POST", url=url, data=body))
    try:
        credentials = session().get_credentials()
        if credentials is None:
            raise ConfigError(f"expert {expert.name!r}: {_NO_CREDENTIALS}")
        frozen = credentials.get_frozen_credentials()
        signer = cast("Any", auth.SigV4Auth(frozen, "bedrock", region_of(expert)))
        signer.add_auth(request)
    except (BotoCoreError, ClientError) as error:
        session.cache_clear()  # a new login is to be found
        raise _unusable(expert, error) from error
    return {name.lower(): str(value) for name, value in request.headers.items()}


def _unusable(expert: ExpertSettings, error: Exception) -> ConfigError:
    why = " ".join(str(error).split())[:300]
    return ConfigError(
        f"expert {expert.name!r}: AWS's credentials cannot be used ({why.rstrip('.')}); "
        "run `aws sso login`, or look at AWS_PROFILE and ~/.aws/config."
    )
