"""`bin/manage probe_engine`: what stands on the terminal of whoever asks what answers there."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests import recorded_rules
from tests.recorded_engine import Replay, Rule, playing
from tests.running_engines import KEY, MODEL, RunningEngine, free_port


def probe(*words: str) -> tuple[int, str]:
    """Exit status and what was written."""
    out = StringIO()
    try:
        call_command("probe_engine", *words, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text(KEY)
    return str(path)


def test_a_real_llama_cpp_is_found_out_and_keeps_its_contract(llama: RunningEngine, key_file: str) -> None:
    status, text = probe(llama.endpoint.base_url, "--key-file", key_file)
    assert status == 0, text
    assert "Kind: llama.cpp" in text
    assert "Evidence: /v1/models says owned_by llamacpp" in text
    assert "Answers at once: 4" in text
    assert "✓ thinking comes apart from the answer" in text
    assert "– pulls models itself" not in text, "what is costly is tried only when asked for"
    assert "0 broken." in text
    assert KEY not in text


def test_json_holds_facts_models_and_the_whole_contract(llama: RunningEngine, key_file: str) -> None:
    status, text = probe(llama.endpoint.base_url, "--key-file", key_file, "--json")
    told = json.loads(text)
    assert status == 0
    assert (told["kind"], told["facts"]["slots"], told["model"]) == ("llama.cpp", 4, str(MODEL))
    verdicts = {row["key"]: row["verdict"] for row in told["contract"]}
    assert (verdicts["cancel"], verdicts["effort"]) == ("kept", "not possible")
    assert KEY not in text


def test_an_ollama_tells_models_memory_and_context() -> None:
    with playing(recorded_rules.ollama()) as url:
        status, text = probe(url, "--costly")
    assert "Kind: ollama" in text
    assert "Loaded: r1-tiny:latest · context 2048 · 2.9 MiB" in text
    assert "✓ loads and unloads on demand" in text
    assert status == 1, "a recording counts every prompt alike: the one promise that it cannot keep"
    assert "1 broken." in text


@pytest.mark.parametrize("kind", ["vllm", "sglang", "deepseek"])
def test_the_kind_is_told_by_evidence(kind: str, key_file: str) -> None:
    with playing(getattr(recorded_rules, kind)()) as url:
        _, text = probe(url, "--key-file", key_file)
    assert f"Kind: {kind}" in text


def test_an_imitation_of_ollama_is_not_taken_for_one() -> None:
    tags = (Rule("GET", "/api/tags", "sglang/ollama_api_tags"), Rule("GET", "/", "sglang/root"))
    with playing(Replay(tags)) as url, pytest.raises(CommandError, match="no engine that the site knows"):
        probe(url)


def test_a_key_that_is_missing_is_told(llama: RunningEngine) -> None:
    with pytest.raises(CommandError, match="asks for a key: give it with --key-file"):
        probe(llama.endpoint.base_url)


def test_silence_is_told_with_what_to_look_at() -> None:
    with pytest.raises(CommandError, match="Nothing answers"):
        probe(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("url", ["http://169.254.169.254", "http://[fd00:ec2::254]", "ftp://engine", "nonsense"])
def test_what_is_no_address_for_an_engine_is_refused(url: str) -> None:
    with pytest.raises(CommandError, match="no address for an engine"):
        probe(url)


def test_an_engine_without_a_model_is_no_failure() -> None:
    rules = (Rule("GET", "/api/version", "ollama/version"), Rule("GET", "/api/ps", "ollama/ps_unloaded"))
    with playing(Replay((*rules, Rule("GET", "/api/tags", "ollama/ps_unloaded")))) as url:
        status, text = probe(url)
    assert (status, "It serves no model" in text) == (0, True)
