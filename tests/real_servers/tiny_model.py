"""
A model of known weights, small enough to be written out here, for a real vLLM.

It is a Llama of one layer whose attention and MLP add nothing, with one-hot
embeddings: the last token alone decides the next one. After an ordinary prompt it
says `ANSWER` and ends; after a prompt that holds `ENDLESS_WORD` it never does; asked
`VERDICT_WORDS`, it says yes with `P_YES`, else no. Every byte of a prompt is one token.
Standard library only.
"""

import json
import struct
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

ANSWER = "Take a lock around the counter."
ENDLESS_WORD = "forever"
ENDLESS = (" tick", " tock")
VERDICT_WORDS = "yes or no"
P_YES = 0.636
"""From the two weights below: 1 / (1 + exp(-(4 - 3.96875) * sqrt(320)))."""

_ANSWER_TOKENS = ("Take", " a", " lock", " around", " the", " counter", ".")
_START, _END, _SAY, _GO_ON = "<|start|>", "<|end|>", "<|say|>", "<|go_on|>"
_JUDGE, _YES, _NO = "<|judge|>", "yes", "no"
_SPECIAL = (_START, _END, _SAY, _GO_ON, _JUDGE)
_HEAD = 64
_HEADS = 5
_WIDTH = _HEAD * _HEADS
_ONE = 0x3F80
"""1.0 as a bfloat16."""
_SURE = 0x4080
"""4.0: the next token's logit then stands 70 above every other's."""
_NEARLY_SURE = 0x407E
"""3.96875."""

_TEMPLATE = (
    "{% for m in messages %}" + _START + "{{ m['role'] }}\n{{ m['content'] }}" + _END + "\n{% endfor %}"
    "{% if add_generation_prompt %}"
    "{% if '" + ENDLESS_WORD + "' in messages[-1]['content'] %}" + _GO_ON
    + "{% elif '" + VERDICT_WORDS + "' in messages[-1]['content'] %}" + _JUDGE
    + "{% else %}" + _SAY + "{% endif %}{% endif %}"
)  # fmt: skip


def write(folder: Path, *, window: int) -> Path:
    """Write the model in the hub's format; `window` bounds prompt and answer."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary()
    end = vocabulary[_END]
    config: dict[str, object] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": _WIDTH,
        "hidden_size": _WIDTH,
        "intermediate_size": _HEAD,
        "num_hidden_layers": 1,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "head_dim": _HEAD,
        "max_position_embeddings": window,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "bos_token_id": vocabulary[_START],
        "eos_token_id": end,
    }
    tokenizer_config: dict[str, object] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": _END,
        "pad_token": _END,
        "clean_up_tokenization_spaces": False,
        "model_max_length": window,
        "chat_template": _TEMPLATE,
    }
    _dump(folder / "config.json", config)
    _dump(folder / "tokenizer.json", _tokenizer(vocabulary))
    _dump(folder / "tokenizer_config.json", tokenizer_config)
    (folder / "model.safetensors").write_bytes(_weights(vocabulary))
    return folder


def _dump(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _byte_letters() -> list[str]:
    """Return the letter by which byte-level tokenizers write each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return [
        chr(byte) if byte in plain else chr(256 + rest.index(byte))
        for byte in range(256)
    ]


def _vocabulary() -> dict[str, int]:
    letters = _byte_letters()
    words = [
        word.replace(" ", letters[ord(" ")])
        for word in (*_ANSWER_TOKENS, *ENDLESS, _YES, _NO)
        if len(word) > 1
    ]
    tokens = [*letters, *words, *_SPECIAL]
    return {token: number for number, token in enumerate(tokens)}


def _tokenizer(vocabulary: Mapping[str, int]) -> dict[str, object]:
    levels = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    levels["use_regex"] = True
    added = {"single_word": False, "lstrip": False, "rstrip": False}
    added |= {"normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": vocabulary[word], "content": word, **added} for word in _SPECIAL
        ],
        "normalizer": None,
        "pre_tokenizer": levels,
        "post_processor": None,
        "decoder": levels,
        # Without merges nothing in a prompt becomes a word: a word is an answer's.
        "model": {"type": "BPE", "vocab": dict(vocabulary), "merges": []},
    }


def _follows(vocabulary: Mapping[str, int]) -> dict[int, int]:
    """Return which token follows which."""
    space = _byte_letters()[ord(" ")]

    def number(word: str) -> int:
        return vocabulary[word.replace(" ", space)]

    said = [_SAY, *_ANSWER_TOKENS, _END]
    ticks = [_GO_ON, *ENDLESS, ENDLESS[0]]
    verdicts = [(_JUDGE, _YES), (_YES, _END), (_NO, _END)]
    pairs = [*pairwise(said), *pairwise(ticks), *verdicts]
    return {number(first): number(second) for first, second in pairs}


def _weights(vocabulary: Mapping[str, int]) -> bytes:
    """Return a safetensors file."""
    size = _WIDTH
    one_hot = [0] * (size * size)
    next_token = [0] * (size * size)
    for token in range(size):
        one_hot[token * size + token] = _ONE
    for current, following in _follows(vocabulary).items():
        next_token[following * size + current] = _SURE
    next_token[vocabulary[_NO] * size + vocabulary[_JUDGE]] = _NEARLY_SURE
    layer = "model.layers.0"
    square, wide = [size, size], [_HEAD, size]
    tensors: dict[str, tuple[list[int], list[int]]] = {
        "model.embed_tokens.weight": (square, one_hot),
        "lm_head.weight": (square, next_token),
        "model.norm.weight": ([size], [_ONE] * size),
        f"{layer}.input_layernorm.weight": ([size], [_ONE] * size),
        f"{layer}.post_attention_layernorm.weight": ([size], [_ONE] * size),
    }
    for name in ("q", "k", "v", "o"):
        zeros = [0] * (size * size)
        tensors[f"{layer}.self_attn.{name}_proj.weight"] = (square, zeros)
    for name, shape in (("gate", wide), ("up", wide), ("down", wide[::-1])):
        tensors[f"{layer}.mlp.{name}_proj.weight"] = (shape, [0] * (size * _HEAD))
    return _safetensors(tensors)


def _safetensors(tensors: Mapping[str, tuple[list[int], list[int]]]) -> bytes:
    header: dict[str, object] = {}
    data = bytearray()
    for name, (shape, values) in tensors.items():
        start = len(data)
        data += struct.pack(f"<{len(values)}H", *values)
        offsets = [start, len(data)]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": offsets}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + bytes(data)
