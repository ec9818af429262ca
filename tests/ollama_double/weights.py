"""What /api/show tells of the weights of the test server's models: keys and tensors of a GGUF file.

Keys, tensors and their order are those of SmolLM2-135M and all-MiniLM-L6-v2 on the real server; a
model of another architecture has them under its own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ollama_double.models import Model

_CHAT: dict[str, Any] = {
    "attention.head_count": 9,
    "attention.head_count_kv": 3,
    "attention.layer_norm_rms_epsilon": 1e-05,
    "block_count": 30,
    "feed_forward_length": 1536,
    "rope.dimension_count": 64,
    "rope.freq_base": 100000,
    "vocab_size": 49152,
}
_CHAT_GENERAL: dict[str, Any] = {
    "general.basename": "smollm2",
    "general.file_type": 3,
    "general.finetune": "8k-lc100k-mix1-ep2",
    "general.languages": None,
    "general.license": "apache-2.0",
    "general.organization": "HuggingFaceTB",
    "general.parameter_count": 134515008,
    "general.quantization_version": 2,
    "general.size_label": "135M",
    "general.type": "model",
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.ggml.add_space_prefix": False,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.merges": None,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.padding_token_id": 2,
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.token_type": None,
    "tokenizer.ggml.tokens": None,
    "tokenizer.ggml.unknown_token_id": 0,
}
_EMBEDDING: dict[str, Any] = {
    "attention.causal": False,
    "attention.head_count": 12,
    "attention.layer_norm_epsilon": 1e-12,
    "block_count": 6,
    "feed_forward_length": 1536,
    "normalize_embeddings": True,
    "pooling_type": 1,
}
_EMBEDDING_GENERAL: dict[str, Any] = {
    "general.file_type": 1,
    "general.parameter_count": 22565376,
    "general.quantization_version": 2,
    "tokenizer.ggml.cls_token_id": 101,
    "tokenizer.ggml.mask_token_id": 103,
    "tokenizer.ggml.model": "bert",
    "tokenizer.ggml.padding_token_id": 0,
    "tokenizer.ggml.pre": "default",
    "tokenizer.ggml.scores": None,
    "tokenizer.ggml.seperator_token_id": 102,
    "tokenizer.ggml.token_type": None,
    "tokenizer.ggml.token_type_count": 2,
    "tokenizer.ggml.tokens": None,
    "tokenizer.ggml.unknown_token_id": 100,
}
# The lists that come with `verbose` only.
_LISTS: dict[str, list[Any]] = {
    "tokenizer.ggml.merges": ["t h", "h e"],
    "tokenizer.ggml.scores": [0, 1, 2],
    "tokenizer.ggml.token_type": [3, 1, 1],
    "tokenizer.ggml.tokens": ["<s>", "</s>", "▁the"],
}
_WIDE, _VOCABULARY = 1536, {"llama": 49152, "bert": 30522}


def info_of(model: Model, dim: int, *, verbose: bool) -> dict[str, Any]:
    """The key-value pairs of a model's file, sorted; long lists are null unless verbose."""
    own, general = (_EMBEDDING, _EMBEDDING_GENERAL) if model.embeds else (_CHAT, _CHAT_GENERAL)
    kind = model.architecture
    limits = {"context_length": model.context, "embedding_length": dim}
    info = {f"{kind}.{key}": value for key, value in (own | limits).items()}
    info |= general | {"general.architecture": kind}
    if verbose:
        info |= {key: values for key, values in _LISTS.items() if key in info}
    return dict(sorted(info.items()))


def tensors_of(model: Model, dim: int) -> list[dict[str, Any]]:
    """Name, type and shape of each of a model's tensors, as its file orders them."""
    small, large = "F32", model.quantization
    if model.embeds:
        vocabulary = _VOCABULARY["bert"]
        first = [
            ("position_embd.weight", large, [dim, model.context]),
            ("token_embd.weight", large, [dim, vocabulary]),
            ("token_embd_norm.bias", small, [dim]),
            ("token_embd_norm.weight", small, [dim]),
            ("token_types.weight", small, [dim, 2]),
        ]
        square = ["attn_k", "attn_output", "attn_q", "attn_v"]
        wide = {"ffn_down": [_WIDE, dim], "ffn_up": [dim, _WIDE]}
        norms = ("attn_output_norm", "layer_output_norm")
        block = {f"{name}.bias": [dim] for name in (*square, *norms, "ffn_down")}
        block |= {"ffn_up.bias": [_WIDE]} | {f"{name}.weight": [dim] for name in norms}
        count = _EMBEDDING["block_count"]
    else:
        vocabulary = _VOCABULARY["llama"]
        first = [
            ("output_norm.weight", small, [dim]),
            ("token_embd.weight", "Q8_0", [dim, vocabulary]),
        ]
        square = ["attn_output", "attn_q"]
        wide = {"attn_k": [dim, dim // 3], "attn_v": [dim, dim // 3], "ffn_down": [_WIDE, dim]}
        wide |= {"ffn_gate": [dim, _WIDE], "ffn_up": [dim, _WIDE]}
        block = {"attn_norm.weight": [dim], "ffn_norm.weight": [dim]}
        count = _CHAT["block_count"]
    block |= {f"{name}.weight": [dim, dim] for name in square}
    block |= {f"{name}.weight": shape for name, shape in wide.items()}
    layers = [
        (f"blk.{i}.{name}", small if len(shape) == 1 else large, shape)
        for i in range(count)
        for name, shape in sorted(block.items())
    ]
    return [{"name": name, "type": kind, "shape": shape} for name, kind, shape in first + layers]
