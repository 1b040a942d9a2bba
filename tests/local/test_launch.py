import sys
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from ask_expert.errors import ConfigError
from ask_expert.local.launch import Serving, arguments, program, remarks, tool_parser


def test_the_command_for_one_gpu() -> None:
    command = arguments(Serving(model="Qwen/Qwen3-Coder-30B-A3B-Instruct"))

    assert " ".join(command) == snapshot(
        "serve Qwen/Qwen3-Coder-30B-A3B-Instruct --host 127.0.0.1 --port 8000 "
        "--enable-prefix-caching --enable-prompt-tokens-details "
        "--generation-config vllm --enable-auto-tool-choice "
        "--tool-call-parser qwen3_xml"
    )


def test_the_command_for_several_machines() -> None:
    serving = Serving(
        model="openai/gpt-oss-120b",
        host="::1",
        port=9000,
        name="big",
        tensor_parallel=8,
        pipeline_parallel=2,
        ray=True,
        more=("--max-model-len", "65536"),
    )

    command = arguments(serving)

    assert " ".join(command) == snapshot(
        "serve openai/gpt-oss-120b --host ::1 --port 9000 --served-model-name big "
        "--enable-prefix-caching --enable-prompt-tokens-details "
        "--generation-config vllm --enable-auto-tool-choice --tool-call-parser openai "
        "--tensor-parallel-size 8 --pipeline-parallel-size 2 "
        "--distributed-executor-backend ray --max-model-len 65536"
    )
    assert serving.base_url == "http://[::1]:9000/v1"


def test_a_flag_of_the_users_own_replaces_ours() -> None:
    more = (
        "--no-enable-prefix-caching",
        "--generation_config=auto",
        "--tool-call-parser",
        "pythonic",
        "-tp=2",
    )

    command = arguments(Serving(model="qwen3-8b", tensor_parallel=4, more=more))

    assert command == (
        *("serve", "qwen3-8b", "--host", "127.0.0.1", "--port", "8000"),
        "--enable-prompt-tokens-details",
        *more,
    )


@pytest.mark.parametrize(
    ("model", "parser"),
    [
        ("Qwen/Qwen2.5-Coder-32B-Instruct", "hermes"),
        ("Qwen/Qwen3-8B-FP8", "hermes"),
        ("Qwen/Qwen3-Coder-Next", "qwen3_xml"),
        ("/models/Qwen3.5-35B-A3B", "qwen3_xml"),
        ("Qwen/QwQ-32B", "hermes"),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "hermes"),
        ("Salesforce/Llama-xLAM-2-8b-fc-r", "xlam"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3_json"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4_pythonic"),
        ("mistralai/Devstral-Small-2507", "mistral"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", None),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", None),
        ("zai-org/GLM-4.5-Air", "glm45"),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", None),
        ("Qwen/some-model", None),
    ],
)
def test_the_parser_of_tool_calls_goes_by_the_family(
    model: str, parser: str | None
) -> None:
    command = arguments(Serving(model=model))

    assert tool_parser(model) == parser
    assert ("--enable-auto-tool-choice" in command) is (parser is not None)
    assert ("--tool-call-parser" in command) is (parser is not None)


def test_what_is_not_known_or_not_safe_is_said() -> None:
    unknown = remarks(Serving(model="smol"), {})
    templated = remarks(Serving(model="Llama-3.1-8B"), {})
    opened = remarks(Serving(model="qwen3", host="192.0.2.1"), {})
    locked = remarks(Serving(model="qwen3", host="192.0.2.1"), {"VLLM_API_KEY": "k"})
    fine = remarks(Serving(model="smol", more=("--tool-call-parser=xlam",)), {})

    assert "no tool-call parser is known for 'smol'" in unknown[0]
    assert "--chat-template" in templated[0]
    assert "set VLLM_API_KEY" in opened[0]
    assert locked == fine == ()


@pytest.mark.parametrize("model", ["", " ", "--help"])
def test_what_is_no_model_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match="is no model"):
        arguments(Serving(model=model))


def test_the_program_is_looked_for_beside_us_then_on_the_path_then_as_a_module(
    tmp_path: Path,
) -> None:
    there = tmp_path / "vllm"
    there.write_text("")
    nowhere = tmp_path / "no"

    beside = program(beside=there, on_path="/usr/bin/vllm", importable=True)
    path = program(beside=nowhere, on_path="/usr/bin/vllm", importable=True)
    module = program(beside=nowhere, on_path=None, importable=True)

    assert beside == (str(there),)
    assert path == ("/usr/bin/vllm",)
    assert module == (sys.executable, "-m", "vllm.entrypoints.cli.main")
    with pytest.raises(ConfigError, match=r"ask-expert\[vllm\]"):
        program(beside=nowhere, on_path=None, importable=False)
