"""
Which class speaks which wire format; each is imported when it is first used.

Another distribution adds one by an entry point of the group `ask_expert.experts`,
whose name is the `api` and whose object is a class without arguments.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from ask_expert.errors import ConfigError
from ask_expert.experts.wire import Wire
from ask_expert.settings import ADAPTERS
from ask_expert.yaml_file import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

WIRES = {
    "openai_chat": "ask_expert.experts.openai_chat:OpenAIChat",
    "openai_responses": "ask_expert.experts.openai_responses:OpenAIResponses",
    "anthropic": "ask_expert.experts.anthropic:Anthropic",
    "gemini": "ask_expert.experts.gemini:Gemini",
    "openrouter": "ask_expert.experts.openrouter:OpenRouter",
    "bedrock": "ask_expert.experts.bedrock:Bedrock",
    "vertex_anthropic": "ask_expert.experts.vertex:VertexAnthropic",
    "vertex_gemini": "ask_expert.experts.vertex:VertexGemini",
    "command": "ask_expert.experts.command:Command",
}

_PARTS = (
    "default_base_url",
    "own_credentials",
    "encode",
    "auth",
    "decode",
    "failure",
    "gather",
)


@cache
def wire_for(api: str) -> Wire:
    """
    Return the wire of that name; one that is built in cannot be replaced.

    Raises:
        ConfigError: There is none, or the distribution that adds it is broken.
    """
    if api in WIRES:
        module, _, name = WIRES[api].partition(":")
        return cast("Wire", getattr(import_module(module), name)())
    return _added(api)


def _added(api: str) -> Wire:
    from importlib.metadata import entry_points  # noqa: PLC0415  # seldom needed

    group = entry_points(group=ADAPTERS)
    found = tuple(each for each in group if each.name == api)
    if not found:
        known = [*WIRES, *(each.name for each in group)]
        raise ConfigError(f"there is no api {api!r}; {nearest(api, known)}")
    if len({each.value for each in found}) > 1:
        names = " and ".join(sorted({_distribution(each) for each in found}))
        raise ConfigError(f"api {api!r} is added by {names}; uninstall all but one.")
    adapter = found[0]
    try:
        wire: object = adapter.load()()
    except Exception as error:  # nobody knows what foreign code raises
        why = f"{type(error).__name__}: {error}"
        raise _broken(adapter, f"cannot be loaded ({why})") from error
    missing = [part for part in _PARTS if not hasattr(wire, part)]
    if missing:
        raise _broken(adapter, f"has no {missing[0]!r}")
    return cast("Wire", wire)


def _broken(adapter: "EntryPoint", why: str) -> ConfigError:
    return ConfigError(
        f"the adapter of api {adapter.name!r} {why}; update or uninstall "
        f"{_distribution(adapter)}."
    )


def _distribution(adapter: "EntryPoint") -> str:
    found = adapter.dist
    return f"{found.name} {found.version}" if found else adapter.value
