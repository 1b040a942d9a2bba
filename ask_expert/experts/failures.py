"""
What an error status means: whether to try again, and whether it can be billed.

The status alone does not tell: an exhausted credit is a 429 that no retry mends.

Source:
    The vendors' error pages and SDKs, read 2026-11-21.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from ask_expert.answer_block import visible
from ask_expert.errors import (
    Billed,
    ExpertError,
    ExpertRejectedError,
    ExpertUnavailableError,
)
from ask_expert.experts import reading
from ask_expert.settings import ExpertSettings

_TRANSIENT = frozenset({408, 409, 425, 429, 503, 529})
_SERVER_FAULT = 500
_UNPAID = 402
_IN_FLIGHT = "openrouter_in_flight_budget"
_DAILY = "daily_quota"
_BAD_KEY = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
_NO_CREDIT = "The account has no credit left, or its spend limit is reached."
_NO_QUOTA = "Today's quota is used up; raise it with the provider or ask tomorrow."
_NO_MONEY = frozenset(
    {
        "billing_error",
        "billing_hard_limit_reached",
        "contract_spend_limit_reached",
        "credit_balance_exhausted",
        "enforced_spend_limit_reached",
        "daily_quota",
        "guardrail_budget",
        "insufficient_quota",
        "linked_organization_spend_limit_reached",
        "openrouter_credits",
        "openrouter_guardrail_budget",
        "openrouter_key_limit",
        "openrouter_workspace_budget",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
        "weight_exceeds_budget",
        "workspace_budget",
    }
)
_MOST_CHARS = 20_000
_UNREADABLE = re.compile(r"[\s\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the provider says about an error, in whatever shape."""

    message: str = ""
    codes: frozenset[str] = frozenset()
    retry_after_s: float | None = None
    well_formed: bool = False


def failure(
    expert: ExpertSettings,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    key_name: str,
    signed_with: str | None = None,
) -> ExpertError:
    """
    Return the error that a status means.

    Args:
        expert: Who was asked.
        status: HTTP status, not 2xx.
        headers: Names in lower case.
        body: The provider's error, or what a proxy put in its place.
        key_name: Variable that holds the key, where settings name none.
        signed_with: What else the request may have been signed with.
    """
    told = _told(_data(body))
    key = f"key in {expert.key_env or key_name}"
    if signed_with and not expert.key_env:
        key = f"{signed_with}, or the {key}," if key_name else signed_with
    return _meant(expert, status, headers, told, key)


def _meant(
    expert: ExpertSettings,
    status: int,
    headers: Mapping[str, str],
    told: _Told,
    key: str,
) -> ExpertError:
    wait_s = _retry_after_s(headers)
    wait_s = told.retry_after_s if wait_s is None else wait_s
    waits = wait_s is not None or _IN_FLIGHT in told.codes
    no_money = bool(told.codes & _NO_MONEY) or (status == _UNPAID and not waits)
    said = told.message.rstrip(". ")
    words = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    message = f"{words}. {_advice(expert, status, key, told)}"
    if no_money:
        advice = _NO_QUOTA if _DAILY in told.codes else _NO_CREDIT
        message = f"{words}. {advice}"
    request_id = reading.request_id(headers)
    billed = _billed(status, told) if not no_money else None
    if billed is None:
        return ExpertRejectedError(
            expert.name,
            message.strip(),
            http_status=status,
            request_id=request_id,
            told=said,
        )
    if billed == "unknown":
        message += " It may have been billed."
    return ExpertUnavailableError(
        expert.name,
        message.strip(),
        billed=billed,
        http_status=status,
        retry_after_s=wait_s,
        request_id=request_id,
        told=said,
    )


def _billed(status: int, told: _Told) -> Billed | None:
    """
    Return whether a passing failure can be billed; None if it will not pass.

    A fault that the provider reports itself cost nothing; a page from something
    between us and it may hide an answer. A 402 that comes here is OpenRouter's for
    money in flight.
    """
    if status in _TRANSIENT or status == _UNPAID:
        return "no"
    if status < _SERVER_FAULT:
        return None
    return "no" if told.well_formed else "unknown"


def within_success(
    expert: ExpertSettings,
    headers: Mapping[str, str],
    body: bytes,
    *,
    key_name: str,
    error: object = None,
) -> ExpertError:
    """
    Return the error inside a reply of status 200.

    The provider had begun to work, so the call counts as billed unless the reply
    names a usage of nothing or refuses the request by a 4xx code.

    Args:
        expert: Who was asked.
        headers: Names in lower case.
        body: The whole reply, JSON.
        key_name: Variable that holds the key, where settings name none.
        error: The error of one choice, which broke off while it was written.
    """
    whole = reading.as_mapping(reading.load(body))
    told = _told(whole if error is None else {"error": error})
    found = error if error is not None else whole.get("error")
    code = reading.as_mapping(found).get("code")
    nothing = "usage" in whole and not whole["usage"]
    if isinstance(code, int) and 400 <= code < 600:  # noqa: PLR2004
        key = f"key in {expert.key_env or key_name}"
        meant = _meant(expert, code, headers, told, key)
        if code >= _SERVER_FAULT or error is not None:
            meant.billed = "unknown"
        return meant
    rejected = any(
        word.startswith("invalid_") or word.endswith("_policy") for word in told.codes
    )
    kind = ExpertRejectedError if rejected else ExpertUnavailableError
    return kind(
        expert.name,
        f"the provider failed while it worked: {told.message or 'no reason given'}.",
        billed="no" if nothing else "unknown",
        http_status=200,
        request_id=reading.request_id(headers),
        told=told.message,
    )


def complaint(body: bytes) -> str | None:
    """Return the words of the error that a reply of status 200 holds, if any."""
    whole = reading.as_mapping(_data(body))
    choice = next(iter(reading.as_list(whole.get("choices"))), None)
    error = whole.get("error") or reading.as_mapping(choice).get("error")
    if not error:
        return None
    return _told({"error": error}).message or "the provider gave no reason"


def _advice(expert: ExpertSettings, status: int, key: str, told: _Told) -> str:
    settings = "Check `model`, `effort` and `extra_body` in settings.yaml."
    known = {
        400: settings,
        401: f"Check the {key.rstrip(',')}.",
        402: "Too much is in flight at the moment; ask again later.",
        403: f"The {key} may not use model {expert.model!r}.",
        404: f"Check `model: {expert.model}` and `base_url` in settings.yaml.",
        413: "Ask again with fewer files or less context.",
        422: settings,
        429: "Too many requests at the moment.",
    }
    if told.codes & _BAD_KEY:
        return known[401]
    if status >= _SERVER_FAULT or status in _TRANSIENT:
        return known.get(status, "The fault is the provider's; ask again later.")
    return known.get(status, "")


def _data(body: bytes) -> object:
    try:
        return reading.load(body)
    except ValueError:
        return None


def _told(data: object) -> _Told:
    data = next(iter(reading.as_list(data)), data)  # Gemini wraps its error in a list
    whole = reading.as_mapping(data)
    error = reading.as_mapping(whole.get("error"))
    details, metadata = error.get("details"), reading.as_mapping(error.get("metadata"))
    inner = reading.as_mapping(details)
    named = [error.get("code"), error.get("type"), inner.get("error_code")]
    named += [metadata.get(key) for key in ("error_type", "limit_source", "reason")]
    codes = {word for word in named if isinstance(word, str)}
    delay_s, google = _google(details)
    said = (error.get("message"), whole.get("error"), whole.get("message"))
    message = next(
        (word for word in (*said, whole.get("detail")) if _is_text(word)), ""
    )
    return _Told(
        message=_readable(str(message)),
        codes=frozenset(codes | google),
        retry_after_s=delay_s,
        well_formed=_is_text(error.get("message")),
    )


def _google(details: object) -> tuple[float | None, set[str]]:
    """Read Google's details: a delay, reasons, and whether a day's quota is used up."""
    delay_s: float | None = None
    codes: set[str] = set()
    for detail in reading.as_list(details):
        facts = reading.as_mapping(detail)
        delay = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", str(facts.get("retryDelay")))
        if delay:
            delay_s = float(delay.group(1))
        if isinstance(facts.get("reason"), str):
            codes.add(facts["reason"])
        for each in reading.as_list(facts.get("violations")):
            if "PerDay" in str(reading.as_mapping(each).get("quotaId")):
                codes.add(_DAILY)
    return delay_s, codes


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _readable(message: str) -> str:
    """Return a message on one line; only what is masked may be cut to a line's length."""
    return _UNREADABLE.sub(" ", visible(message)).strip()[:_MOST_CHARS]


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the wait asked for; a date counts from the reply's own `Date`."""
    for name, per_s in (("retry-after-ms", 1000), ("retry-after", 1)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", value):
            return float(value) / per_s
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
        since = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - since).total_seconds())
    except (ValueError, TypeError):
        return None
