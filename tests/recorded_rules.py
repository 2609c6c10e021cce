"""Which recording answers what, engine by engine."""

from __future__ import annotations

from typing import Any

from tests.recorded_engine import Replay, Rule

_LONG = 3000  # characters: more than the recorded context of 2048 tokens holds


def ollama() -> Replay:
    """Ollama 0.24.0. It loads and unloads: the last such request decides what is loaded."""
    replay = Replay(())

    def is_unloaded(body: dict[str, Any]) -> bool:
        orders = [b for path, b in replay.seen if path in ("/api/generate", "/api/chat")]
        return bool(orders) and orders[-1].get("keep_alive") == 0

    replay.rules = (
        Rule("GET", "/", "ollama/root"),
        Rule("GET", "/api/version", "ollama/version"),
        Rule("GET", "/api/tags", "ollama/tags"),
        Rule("GET", "/api/ps", "ollama/ps_unloaded", is_unloaded),
        Rule("GET", "/api/ps", "ollama/ps_loaded"),
        Rule("POST", "/api/show", "documented/ollama_show_tools", lambda b: b["model"] == "r1-tools"),
        Rule("POST", "/api/show", "ollama/show_missing", lambda b: "no-such" in b["model"]),
        Rule("POST", "/api/show", "ollama/show"),
        Rule("POST", "/api/pull", "ollama/pull_missing", lambda b: "no-such" in b["model"]),
        Rule("POST", "/api/pull", "ollama/pull_layers_present"),
        Rule("POST", "/api/generate", "ollama/unload", lambda b: b.get("keep_alive") == 0),
        Rule("POST", "/api/generate", "ollama/load_generate", lambda b: "prompt" not in b),
        Rule("POST", "/api/generate", "ollama/generate_raw_in_answer", lambda b: "</think>" in b["prompt"]),
        Rule("POST", "/api/generate", "ollama/generate_raw_in_thinking"),
        Rule("POST", "/api/chat", "ollama/bad_model", lambda b: "no-such" in b["model"]),
        Rule("POST", "/api/chat", "documented/ollama_busy", lambda b: "busy" in _last(b)),
        Rule("POST", "/api/chat", "ollama/context_overflow_no_truncate", lambda b: len(_last(b)) > _LONG),
        Rule("POST", "/api/chat", "documented/ollama_tool_call", lambda b: "tools" in b and b["model"] == "r1-tools"),
        Rule("POST", "/api/chat", "ollama/tools_unsupported", lambda b: "tools" in b),
        Rule("POST", "/api/chat", "documented/ollama_schema", lambda b: isinstance(b.get("format"), dict)),
        Rule("POST", "/api/chat", "ollama/format_json", lambda b: b.get("format") == "json"),
        Rule("POST", "/api/chat", "ollama/seed", lambda b: "seed" in b["options"]),
        Rule("POST", "/api/chat", "ollama/stop_string", lambda b: "stop" in b["options"]),
        Rule("POST", "/api/chat", "ollama/length_in_thinking", lambda b: 0 < b["options"].get("num_predict", 0) <= 50),
        Rule("POST", "/api/chat", "ollama/chat_stream_think_false", lambda b: b.get("think") is False),
        Rule("POST", "/api/chat", "ollama/chat_think_high", lambda b: isinstance(b.get("think"), str)),
        Rule("POST", "/api/chat", "ollama/chat_stream"),
    )
    return replay


def vllm() -> Replay:
    """vLLM 0.32.0, as far as its streams were recorded."""
    chat = "/v1/chat/completions"
    return Replay(
        (
            Rule("GET", "/health", "vllm/health"),
            Rule("GET", "/version", "vllm/version"),
            Rule("GET", "/metrics", "vllm/metrics"),
            Rule("GET", "/v1/models", "vllm/models"),
            Rule("POST", "/tokenize", "vllm/tokenize_chat"),
            Rule("POST", chat, "vllm/bad_model", lambda b: "no-such" in b["model"]),
            Rule("POST", chat, "vllm/context_overflow", lambda b: len(_last(b)) > _LONG),
            Rule("POST", chat, "vllm/length_stream", lambda b: 0 < b.get("max_tokens", 0) <= 50),
            Rule("POST", chat, "vllm/chat_stream_usage"),
        )
    )


def sglang() -> Replay:
    """SGLang 0.5.23, as far as its streams were recorded."""
    chat = "/v1/chat/completions"
    return Replay(
        (
            Rule("GET", "/", "sglang/root"),
            Rule("GET", "/ready", "sglang/ready"),
            Rule("GET", "/api/version", "sglang/ollama_api_version"),
            Rule("GET", "/api/tags", "sglang/ollama_api_tags"),
            Rule("GET", "/v1/models", "sglang/models"),
            Rule("GET", "/v1/loads", "sglang/loads"),
            Rule("GET", "/model_info", "sglang/model_info"),
            Rule("POST", "/tokenize", "sglang/tokenize_chat"),
            Rule("POST", chat, "sglang/queue_full_stream", lambda b: "queue full" in _last(b)),
            Rule("POST", chat, "sglang/context_overflow_stream", lambda b: len(_last(b)) > _LONG),
            Rule("POST", chat, "sglang/length_stream", lambda b: 0 < b.get("max_tokens", 0) <= 50),
            Rule("POST", chat, "sglang/chat_stream_usage"),
        )
    )


def deepseek() -> Replay:
    """The DeepSeek API as its documentation describes it."""
    chat, prefix = "/chat/completions", "/beta/chat/completions"
    return Replay(
        (
            Rule("GET", "/models", "documented/deepseek_models"),
            Rule("GET", "/user/balance", "documented/deepseek_balance"),
            Rule("POST", prefix, "documented/deepseek_stream_off"),
            Rule("POST", chat, "documented/deepseek_bad_model", lambda b: "no-such" in b["model"]),
            Rule("POST", chat, "documented/deepseek_no_credit", lambda b: "no credit" in _last(b)),
            Rule("POST", chat, "documented/deepseek_broken_off", lambda b: "break off" in _last(b)),
            Rule("POST", chat, "documented/deepseek_busy", lambda b: "busy" in _last(b)),
            Rule("POST", chat, "documented/deepseek_too_long", lambda b: len(_last(b)) > _LONG),
            Rule("POST", chat, "documented/deepseek_tool_call", lambda b: "tools" in b),
            Rule("POST", chat, "documented/deepseek_stop", lambda b: "stop" in b),
            Rule("POST", chat, "documented/deepseek_json", lambda b: "response_format" in b),
            Rule("POST", chat, "documented/deepseek_stream_off", lambda b: b["thinking"]["type"] == "disabled"),
            Rule("POST", chat, "documented/deepseek_length", lambda b: 0 < b.get("max_tokens", 0) <= 50),
            Rule("POST", chat, "documented/deepseek_stream"),
        ),
        key="a-key-for-tests",
        refusal="documented/deepseek_wrong_key",
    )


def _last(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])
