"""Write a checkpoint and its tokenizer to one GGUF file for llama.cpp, the matrices in 8 bits."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGML_QUANT_VERSION, GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants

from .conversations import BEGIN, END
from .model import Settings

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
LAYER_PARTS = {
    "attention_norm": "attn_norm",
    "attention.query": "attn_q",
    "attention.key": "attn_k",
    "attention.value": "attn_v",
    "attention.output": "attn_output",
    "inner_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
"""The names that llama.cpp has for the parts of a layer."""


def tensor_name(name: str) -> str:
    """Translate the name of a weight to that of llama.cpp; the output matrix is the embedding."""
    part, kind = name.rsplit(".", 1)
    if part == "embedding":
        return f"token_embd.{kind}"
    if part == "norm":
        return f"output_norm.{kind}"
    _, layer, part = part.split(".", 2)
    return f"blk.{layer}.{LAYER_PARTS[part]}.{kind}"


def add_tensors(writer: GGUFWriter, weights: dict[str, torch.Tensor]) -> None:
    """Add all weights: matrices in 8 bits, norms and biases as they are."""
    for name, weight in weights.items():
        values = weight.float().numpy().astype(np.float32)
        if values.ndim == 2:
            eight_bits = GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor_name(name), quants.quantize(values, eight_bits), raw_dtype=eight_bits)
        else:
            writer.add_tensor(tensor_name(name), values)


def add_sizes(writer: GGUFWriter, settings: Settings, parameters: int) -> None:
    """Add the name and the sizes of the model."""
    writer.add_type("model")
    writer.add_name("R1 Tiny")
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_block_count(settings.layers)
    writer.add_context_length(settings.context)
    writer.add_embedding_length(settings.width)
    writer.add_feed_forward_length(settings.inner)
    writer.add_head_count(settings.heads)
    writer.add_head_count_kv(settings.key_heads)
    writer.add_rope_freq_base(settings.rope_base)
    writer.add_layer_norm_rms_eps(settings.epsilon)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(GGML_QUANT_VERSION)


def token_table(tokenizer: dict[str, Any]) -> tuple[list[str], list[TokenType]]:
    """Return all tokens in order, and of which type each is."""
    kinds = dict.fromkeys(tokenizer["model"]["vocab"], TokenType.NORMAL)
    numbers = dict(tokenizer["model"]["vocab"])
    for token in tokenizer["added_tokens"]:
        numbers[token["content"]] = token["id"]
        kinds[token["content"]] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    tokens = sorted(numbers, key=numbers.__getitem__)
    return tokens, [kinds[token] for token in tokens]


def add_tokenizer(writer: GGUFWriter, tokenizer: dict[str, Any]) -> None:
    """Add the vocabulary, the merges and the chat template."""
    tokens, kinds = token_table(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("deepseek-r1-qwen")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(tokens.index(BEGIN))
    writer.add_eos_token_id(tokens.index(END))
    writer.add_unk_token_id(tokens.index(END))
    writer.add_pad_token_id(tokens.index(END))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE.read_text(encoding="utf-8").strip())


def export(folder: Path, output: Path) -> int:
    """Write the GGUF file in one step; return the number of parameters."""
    saved = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    weights: dict[str, torch.Tensor] = saved["model"]
    parameters = sum(weight.numel() for weight in weights.values())
    partial = output.with_name(f"{output.name}.new")
    writer = GGUFWriter(partial, "qwen2")
    add_sizes(writer, Settings(**saved["settings"]), parameters)
    add_tokenizer(writer, json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
    add_tensors(writer, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(output)
    return parameters


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with checkpoint.pt and tokenizer.json")
    parser.add_argument("output", type=Path, help="the GGUF file to write")
    options = parser.parse_args()
    parameters = export(options.folder, options.output)
    print(f"{parameters} parameters, {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
