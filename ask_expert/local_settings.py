"""The part of the settings that says where local models are served."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    field_validator,
)

GENERAL = "general"
LONG = "long"

_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class LocalSettings(BaseModel):
    """
    A local model's server; any OpenAI-compatible one.

    Attributes:
        base_url: Its address up to and including `/v1`.
        model: Name the server knows the model by.
        second_model: Another model of the same server, for comparison.
        key_env: Name of the environment variable that holds its key, if it wants one.
        name: How it is told from others; its model when absent.
        window: Tokens of prompt and answer together; not bounded when absent.
        role: Kind of questions it is for. `general` takes any; `long` is kept for
            what fits nowhere else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str
    model: str
    second_model: str | None = None
    key_env: str | None = None
    name: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    window: Annotated[int, Field(ge=256)] | None = None
    role: str = GENERAL

    @field_validator("role")
    @classmethod
    def _role_is_plain(cls, role: str) -> str:
        if not _ROLE.fullmatch(role):
            raise ValueError("use 1 to 40 small letters, digits, '_' or '-'")
        return role

    @property
    def label(self) -> str:
        """How it is called: its name, else its model."""
        return self.name or self.model


_SEVERAL: TypeAdapter[tuple[LocalSettings, ...]] = TypeAdapter(
    tuple[LocalSettings, ...]
)


def one_or_several(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """
    Return what stands under `local`: a mapping, a list of them, or nothing.

    It is told apart here, since the errors of a union name its types instead of the
    place in the file.

    Raises:
        ValueError: It is none of these.
    """
    if value is None or isinstance(value, LocalSettings):
        return handler(value)
    if isinstance(value, Mapping):
        return LocalSettings.model_validate(value)
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("must hold at least one server; else leave it out")
        return _SEVERAL.validate_python(value)
    raise ValueError("must be a mapping of keys to values, or a list of such")
