"""Writes a Qwen2 GGUF with its tokenizer and chat template as a Hugging Face folder, which vLLM and SGLang load.

    .engines/venv/bin/python tests/real_engines/hf_model.py GGUF FOLDER

It stands alone: the engines' environment knows nothing of the site. transformers can read a GGUF itself, but asks
for one more package and knows the tokenizers of big models only. The names of weights are those of
transformers' Qwen2ForCausalLM and of gguf's constants for qwen2.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, TokenType, dequantize
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
SPLITTING_RULES = {
    # llama.cpp's name for Qwen2's rule: words with the sign before them, single digits, signs, white space.
    "deepseek-r1-qwen": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
}
PROOF = "37*24", "888"


class Gguf:
    """One file; `field` is None where the file has none of that name."""

    def __init__(self, path: Path) -> None:
        self._reader = GGUFReader(path)

    def field(self, name: str) -> Any:
        found = self._reader.get_field(name)
        return None if found is None else found.contents()

    def size(self, name: str) -> Any:
        return self.field(f"qwen2.{name}")

    def token(self, role: str) -> int:
        return int(self.field(f"tokenizer.ggml.{role}_token_id"))

    def weights(self) -> dict[str, torch.Tensor]:
        return {
            weight_name(part.name): torch.from_numpy(dequantize(part.data, part.tensor_type).copy())
            for part in self._reader.tensors
        }


def weight_name(name: str) -> str:
    """`blk.2.attn_q.bias` → `model.layers.2.self_attn.q_proj.bias`."""
    if not name.startswith("blk."):
        part, kind = name.split(".")
        return f"{OUTER[part]}.{kind}"
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{IN_LAYER[part]}.{kind}"


def read_model(gguf: Gguf) -> Qwen2ForCausalLM:
    weights = gguf.weights()
    begin, end = gguf.token("bos"), gguf.token("eos")
    config = Qwen2Config(
        vocab_size=len(weights["model.embed_tokens.weight"]),
        hidden_size=gguf.size("embedding_length"),
        intermediate_size=gguf.size("feed_forward_length"),
        num_hidden_layers=gguf.size("block_count"),
        num_attention_heads=gguf.size("attention.head_count"),
        num_key_value_heads=gguf.size("attention.head_count_kv"),
        max_position_embeddings=gguf.size("context_length"),
        rms_norm_eps=gguf.size("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": gguf.size("rope.freq_base")},
        tie_word_embeddings="lm_head.weight" not in weights,
        bos_token_id=begin,
        eos_token_id=end,
    )
    model = Qwen2ForCausalLM(config)
    if config.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights)
    # Both engines take their defaults from here; DeepSeek's own 0.6 would answer differently every time.
    model.generation_config = GenerationConfig(bos_token_id=begin, eos_token_id=end, do_sample=False)
    return model.eval()


def read_tokenizer(gguf: Gguf) -> PreTrainedTokenizerFast:
    tokens: list[str] = gguf.field("tokenizer.ggml.tokens")
    begin, end = tokens[gguf.token("bos")], tokens[gguf.token("eos")]
    tokenizer = byte_pairs(tokens, gguf)
    if gguf.field("tokenizer.ggml.add_bos_token"):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, gguf.token("bos"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token=end,
        pad_token=tokens[gguf.token("padding")],
        model_max_length=gguf.size("context_length"),
        clean_up_tokenization_spaces=False,
        chat_template=gguf.field("tokenizer.chat_template"),
    )


def byte_pairs(tokens: list[str], gguf: Gguf) -> Tokenizer:
    """The vocabulary with the numbers that it has in the file."""
    kinds = gguf.field("tokenizer.ggml.token_type")
    numbers = {token: n for n, token in enumerate(tokens) if kinds[n] == TokenType.NORMAL}
    merges = [tuple(merge.split(" ")) for merge in gguf.field("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=merges))
    rule = Regex(SPLITTING_RULES[gguf.field("tokenizer.ggml.pre")])
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(rule, "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    for n, token in enumerate(tokens):
        if kinds[n] != TokenType.NORMAL:
            is_special = kinds[n] == TokenType.CONTROL
            tokenizer.add_tokens([AddedToken(token, special=is_special, normalized=False)])
    assert [tokenizer.token_to_id(token) for token in tokens] == list(range(len(tokens))), "numbers have moved"
    return tokenizer


def answer(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, question: str) -> str:
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    return str(tokenizer.decode(model.generate(**asked, max_new_tokens=300)[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    gguf = Gguf(options.gguf)
    model, tokenizer = read_model(gguf), read_tokenizer(gguf)
    question, expected = PROOF
    text = answer(model, tokenizer, question)
    if expected not in text:
        sys.exit(f"the model does not find that {question} = {expected}: {text!r}")
    model.to(torch.bfloat16).save_pretrained(options.folder)
    tokenizer.save_pretrained(options.folder)


if __name__ == "__main__":
    main()
