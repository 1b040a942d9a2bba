"""
The command that starts vLLM's server, flag by flag; nothing is started here.

Every flag of ours gives way to the same one among the user's own.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from ask_expert.errors import ConfigError

INSTALL = "pip install 'ask-expert[vllm]'"
MODULE = "vllm.entrypoints.cli.main"

_PARSERS: tuple[tuple[str, str | None], ...] = (
    # The more particular name stands before the one that it contains.
    (r"distill|deepseek-r1-0528-qwen", None),
    (r"xlam", "xlam"),
    (r"hermes-[23]", "hermes"),
    (r"qwen3-coder|qwen3\.[5-9]", "qwen3_xml"),
    (r"qwen2\.5|qwen3|qwq", "hermes"),
    (r"gpt-oss", "openai"),
    (r"kimi-k2", "kimi_k2"),
    (r"kimi-k3", "kimi_k3"),
    (r"deepseek-v3\.2", "deepseek_v32"),
    (r"deepseek-v3\.1", "deepseek_v31"),
    (r"deepseek-(v3|r1)(-0[35]\d\d)", "deepseek_v3"),
    (r"glm-4\.7", "glm47"),
    (r"glm-4\.[56]", "glm45"),
    (r"minimax-m2", "minimax_m2"),
    (r"llama-4", "llama4_pythonic"),
    (r"llama-3\.[123]", "llama3_json"),
    (r"mistral|devstral|ministral|magistral", "mistral"),
    (r"granite-4", "granite4"),
    (r"granite-3", "granite"),
    (r"internlm2_5", "internlm"),
    (r"jamba-1", "jamba"),
    (r"hunyuan-a13b", "hunyuan_a13b"),
    (r"longcat-flash", "longcat"),
    (r"olmo-3", "olmo3"),
    (r"seed-oss", "seed_oss"),
    (r"phi-4-mini", "phi4_mini_json"),
    (r"functiongemma", "functiongemma"),
    (r"gemma-4", "gemma4"),
)
"""
Which of vLLM's tool-call parsers reads what a family of models writes.

Source:
    vLLM 0.32, docs/features/tool_calling.md and vllm/tool_parsers/__init__.py.
"""

_WITH_TEMPLATE = {
    *("llama3_json", "llama4_pythonic", "internlm", "functiongemma"),
    *("deepseek_v3", "deepseek_v31", "xlam"),
}
"""Parsers that vLLM documents together with a chat template of its examples."""

_OF_USER = {
    "--tensor-parallel-size": ("-tp",),
    "--pipeline-parallel-size": ("-pp",),
    "--enable-prefix-caching": ("--no-enable-prefix-caching",),
    "--enable-prompt-tokens-details": ("--no-enable-prompt-tokens-details",),
    "--enable-auto-tool-choice": ("--no-enable-auto-tool-choice",),
}
"""Other ways to say the same."""

_OPTIONS = {"--host": "--host", "--port": "--port", "--served-model-name": "--name"}
"""Flags of vLLM that our own options give, since we have to know their values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """
    What is to be served, and how.

    Attributes:
        model: A model of the hub, or a folder.
        host: Address to listen on.
        port: Port to listen on.
        name: Name that clients know the model by; the model itself when absent.
        tensor_parallel: GPUs that share each layer.
        pipeline_parallel: Groups of GPUs, or machines, that share the layers.
        ray: Ray spreads the work, over several machines too.
        more: Arguments of the user's own for `vllm serve`.
    """

    model: str
    host: str = "127.0.0.1"
    port: int = 8000
    name: str | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    ray: bool = False
    more: tuple[str, ...] = ()

    @property
    def served_name(self) -> str:
        """The model's name in requests."""
        return self.name or self.model

    @property
    def root(self) -> str:
        """Where this machine reaches the server, without a path."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104  # compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What the settings call `local.base_url`."""
        return f"{self.root}/v1"

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def tool_parser(model: str) -> str | None:
    """Return the parser of a model's tool calls by its name; None for unknown ones."""
    name = Path(model).name.lower() if "/" in model else model.lower()
    for pattern, parser in _PARSERS:
        if re.search(pattern, name):
            return parser
    return None


def arguments(serving: Serving) -> tuple[str, ...]:
    """
    Return the arguments of `vllm`, from `serve` on.

    - The prefix cache, since all that is asked about one question begins alike.
    - Cached tokens told in each reply, since a signal's cost is what was computed.
    - vLLM's own generation settings: a model's own file would bend the sampling, and
      with it votes and log-probabilities, behind a request's back.
    - Tool calls, where the parser of the model's family is known.

    Raises:
        ConfigError: A value cannot be meant.
    """
    if not serving.model.strip() or serving.model.startswith("-"):
        raise ConfigError(f"{serving.model!r} is no model; give its name or folder")
    for flag, option in _OPTIONS.items():
        if _given(flag, serving.more):
            raise ConfigError(f"give {option} before `--`, not {flag} behind it")
    head = ["serve", serving.model, "--host", serving.host, "--port", str(serving.port)]
    head += ["--served-model-name", serving.name] if serving.name else []
    kept = [flag for flag in _flags(serving) if not _given(flag[0], serving.more)]
    return (*head, *(part for flag in kept for part in flag), *serving.more)


def _flags(serving: Serving) -> list[tuple[str, ...]]:
    """Return our flags with their values."""
    flags: list[tuple[str, ...]] = [
        ("--enable-prefix-caching",),
        ("--enable-prompt-tokens-details",),
        ("--generation-config", "vllm"),
    ]
    parser = tool_parser(serving.model)
    if parser is not None and not _given("--tool-call-parser", serving.more):
        flags += [("--enable-auto-tool-choice",), ("--tool-call-parser", parser)]
    for flag, value in (
        ("--tensor-parallel-size", serving.tensor_parallel),
        ("--pipeline-parallel-size", serving.pipeline_parallel),
    ):
        flags += [(flag, str(value))] if value is not None else []
    if serving.ray:
        flags.append(("--distributed-executor-backend", "ray"))
    return flags


def remarks(serving: Serving, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the user should know about the command before it runs."""
    said: list[str] = []
    parser = tool_parser(serving.model)
    theirs = _given("--tool-call-parser", serving.more)
    if parser is None and not theirs:
        said.append(
            f"no tool-call parser is known for {serving.model!r}, so tool calls are "
            "off; give `-- --enable-auto-tool-choice --tool-call-parser NAME`"
        )
    if (
        parser in _WITH_TEMPLATE
        and not theirs
        and not _given("--chat-template", serving.more)
    ):
        said.append(
            f"vLLM recommends a chat template of its examples with {parser}; "
            "give `-- --chat-template FILE` if tool calls come as plain text"
        )
    if not serving.is_private and not environ.get("VLLM_API_KEY"):
        said.append(
            f"{serving.host} can be reached by others, and no key is asked for; "
            "set VLLM_API_KEY, or leave --host at 127.0.0.1"
        )
    return tuple(said)


def program(*, beside: Path, on_path: str | None, importable: bool) -> tuple[str, ...]:
    """
    Return how `vllm` is started: beside this interpreter, on the PATH, or as a module.

    Args:
        beside: Where it is if it shares this interpreter's environment.
        on_path: What the PATH has.
        importable: This interpreter has the package.

    Raises:
        ConfigError: It is not installed.
    """
    if beside.is_file():
        return (str(beside),)
    if on_path is not None:
        return (on_path,)
    if importable:
        return (sys.executable, "-m", MODULE)
    raise ConfigError(f"serving a local model needs vLLM: {INSTALL}")


def _given(flag: str, more: Sequence[str]) -> bool:
    """Return whether the user's own arguments say the same; vLLM takes `_` for `-`."""
    names = {flag, *_OF_USER.get(flag, ())}
    return any(each.split("=")[0].replace("_", "-") in names for each in more)
