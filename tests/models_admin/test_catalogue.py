"""The family as the site knows it: names, sums and sources."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from models_admin.family import catalogue
from models_admin.family.catalogue import Card, cards, find

TAGS = ("1.5b", "7b", "8b", "14b", "32b", "70b", "671b")
# Bytes of cache per token at 16 bit, published for each architecture.
CACHE = {"1.5b": 28672, "7b": 57344, "8b": 147456, "8b-llama": 131072, "14b": 196608, "32b": 262144, "70b": 327680}


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("form", ["{}", "deepseek-r1:{}", "DEEPSEEK-R1:{}", "r1:{}", "library/deepseek-r1:{}"])
def test_every_tag_leads_to_its_card_in_every_form(tag: str, form: str) -> None:
    card = find(form.format(tag))
    assert card is not None and tag in card.ollama_tags


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "deepseek-r1:32b"),
        ("DeepSeek-R1-Distill-Qwen-32B", "deepseek-r1:32b"),
        ("deepseek-r1-distill-qwen-32b-awq", "deepseek-r1:32b"),
        ("DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf", "deepseek-r1:7b"),
        ("deepseek-r1:7b-qwen-distill-q8_0", "deepseek-r1:7b"),
        ("deepseek-r1:8b-llama-distill-q4_K_M", "deepseek-r1:8b-llama"),
        ("deepseek-r1:8b-0528-qwen3-fp16", "deepseek-r1:8b"),
        ("DeepSeek-R1-0528", "deepseek-r1:671b"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-r1:671b-january"),
        ("deepseek-ai/DeepSeek-R1-Zero", "deepseek-r1-zero:671b"),
    ],
)
def test_names_that_engines_serve_lead_to_the_card(name: str, key: str) -> None:
    card = find(name)
    assert card is not None and card.key == key


@pytest.mark.parametrize("name", ["deepseek-r1", "DeepSeek-R1", "deepseek-r1:latest"])
def test_a_name_without_a_tag_means_two_architectures_and_leads_nowhere(name: str) -> None:
    assert find(name) is None
    assert {card.gguf_architecture for card in catalogue.meanings(name)} == {"qwen2", "qwen3"}


@given(st.text(max_size=60))
def test_no_name_breaks_the_search(name: str) -> None:
    assert find(name) is None or isinstance(find(name), Card)


@pytest.mark.parametrize(("tag", "bytes_per_token"), CACHE.items())
def test_shapes_give_the_published_size_of_the_cache(tag: str, bytes_per_token: int) -> None:
    card = find(tag)
    assert card is not None and card.shape.kv_bytes_per_token() == bytes_per_token


def test_the_large_ones_have_a_small_cache_and_a_large_one_where_a_file_lacks_the_keys() -> None:
    for card in cards():
        if card.is_mixture:
            assert card.shape.kv_bytes_per_token() == 70_272
            assert card.shape.expanded().kv_bytes_per_token() == 4_997_120


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.key)
def test_every_card_is_whole(card: Card) -> None:
    assert card.figures and all(figure.source.url for figure in card.figures)
    assert list(card.weights.values()) == sorted(card.weights.values())
    assert 1 in card.tensor_parallel and 7 not in card.tensor_parallel
    assert card.weights["BF16"] == pytest.approx(2 * card.parameters, rel=0.001)
    assert card.repository.startswith("deepseek-ai/")
    assert card.licence == "MIT" and ("llama" in card.base.lower()) == ("Llama" in card.base_licence)


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.key)
def test_the_training_is_told_in_three_sentences_in_both_languages(card: Card) -> None:
    with translation.override("en"):
        assert str(card.training).count(". ") == 2 and str(card.good_for).endswith(".")
    with translation.override("zh-hans"):
        assert str(card.training).count("。") == 3 and str(card.good_for).endswith("。")


def test_the_command_lists_them_and_marks_what_is_rounded() -> None:
    out = StringIO()
    call_command("catalogue", stdout=out)
    rows = {line.split()[0]: line for line in out.getvalue().splitlines() if line}
    assert set(rows) >= {card.key for card in cards()}
    assert " 19.9 GB" in rows["deepseek-r1:32b"] and "~43.0 GB" in rows["deepseek-r1:70b"]
    assert "MIT + Llama 3.3 Community License" in rows["deepseek-r1:70b"]


def test_the_command_speaks_chinese() -> None:
    out = StringIO()
    with translation.override("zh-hans"):
        call_command("catalogue", stdout=out)
    assert "许可证" in out.getvalue() and "licence" not in out.getvalue()


def test_programs_get_it_as_json() -> None:
    out = StringIO()
    call_command("catalogue", "--json", stdout=out)
    by_key = {row["key"]: row for row in json.loads(out.getvalue())}
    assert by_key["deepseek-r1:671b"]["shape"]["mla"] == {"kv_lora_rank": 512, "rope_dim": 64}
    assert by_key["deepseek-r1:7b"]["sampling"]["begins_with_think"] is True
    assert by_key["deepseek-r1:32b"]["weights"][0] == {"quantisation": "Q4_K_M", "bytes": 19851337809, "exact": True}
