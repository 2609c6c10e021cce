"""`bin/manage attach_engine`, against engines that run, that don't, and wishes that make no sense."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from models_admin.engines import secrets
from models_admin.models import CatalogueModel, Deployment, Engine, Host
from tests.running_engines import KEY, RunningEngine, free_port

pytestmark = pytest.mark.django_db


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    return path


def attach(engine: RunningEngine, *words: str) -> tuple[str, str]:
    return run(engine.endpoint.base_url, "--kind", engine.endpoint.kind, "--model", engine.model, *words)


def run(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("attach_engine", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_slots_and_context_are_asked_of_the_engine(llama: RunningEngine, key_file: Path) -> None:
    out, err = attach(llama, "--key-file", str(key_file), "--check")
    row = Deployment.objects.get()
    assert (row.slots, row.context_tokens, row.state, row.tokens_per_second) == (4, 2048, "warm", None)
    assert (out, err) == (f"Attached r1-tiny at {llama.endpoint.base_url}: 4 slots of 2048 tokens.\n", "")


def test_the_key_is_stored_encrypted(llama: RunningEngine, key_file: Path) -> None:
    attach(llama, "--key-file", str(key_file))
    stored = Engine.objects.get().secret
    assert KEY not in stored
    assert secrets.decrypt(stored) == KEY


def test_attaching_twice_updates_and_keeps_the_key(llama: RunningEngine, key_file: Path) -> None:
    attach(llama, "--key-file", str(key_file), "--tokens-per-second", "40")
    _, err = attach(llama, "--slots", "3", "--name", "Tiny")
    assert "keeps that name" in err and CatalogueModel.objects.get().name == "R1 Tiny (demo)"
    attach(llama, "--slots", "2", "--name", "Tiny", "--rename", "--check")
    row = Deployment.objects.get()
    assert (row.slots, row.tokens_per_second) == (2, None)
    assert CatalogueModel.objects.get().name == "Tiny"
    assert secrets.decrypt(Engine.objects.get().secret) == KEY


def test_it_is_attached_on_the_host_that_is_named(llama: RunningEngine, key_file: Path) -> None:
    Host.objects.create(name="gpu-2", queue="host.gpu-2", address="10.0.0.7")
    for _again in range(2):
        attach(llama, "--key-file", str(key_file), "--host", "gpu-2")
    assert Engine.objects.get().host.name == "gpu-2"
    with pytest.raises(CommandError, match="No host is called “gpu-3”"):
        attach(llama, "--host", "gpu-3")


@pytest.mark.parametrize(
    ("model", "words", "name"),
    [
        ("deepseek-r1:32b", (), "R1 32B"),
        ("deepseek-r1-distill-qwen-7b", (), "R1 7B"),
        ("deepseek-r1:32b", ("--name", "Ours"), "Ours"),
        ("deepseek-r1:671b", ("--cloud",), "deepseek-r1:671b"),
        ("smollm2:135m", (), "smollm2:135m"),
    ],
)
def test_people_read_the_name_of_the_catalogue(model: str, words: tuple[str, ...], name: str) -> None:
    run(f"http://127.0.0.1:{free_port()}", "--kind", "openai-compatible", "--model", model, *words)
    assert CatalogueModel.objects.get().name == name


def test_the_address_may_be_typed_with_v1_and_a_slash(llama: RunningEngine, key_file: Path) -> None:
    attach(llama, "--key-file", str(key_file))
    run(llama.endpoint.base_url + "/v1/", "--kind", "llama.cpp", "--model", "r1-tiny")
    assert Engine.objects.count() == 1


def test_a_launched_engine_that_comes_back_on_another_port_is_the_same(llama: RunningEngine, key_file: Path) -> None:
    run(f"http://127.0.0.1:{free_port()}", "--kind", "llama.cpp", "--model", "r1-tiny", "--launched")
    attach(llama, "--key-file", str(key_file), "--launched")
    assert Engine.objects.get().base_url == llama.endpoint.base_url
    assert Deployment.objects.count() == 1


def test_an_engine_that_is_down_is_attached_with_a_warning() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    _, err = run(url, "--kind", "openai-compatible", "--model", "x")
    assert "does not answer yet (engine_unreachable)" in err
    assert Deployment.objects.get().state == "failed"


def test_an_engine_that_is_down_is_refused_with_check() -> None:
    with pytest.raises(CommandError, match="does not answer yet"):
        run(f"http://127.0.0.1:{free_port()}", "--kind", "openai-compatible", "--model", "x", "--check")
    assert not Engine.objects.exists()


def test_a_wrong_key_is_told(compatible: RunningEngine) -> None:
    _, err = attach(compatible)
    assert "refuses the key" in err


def test_a_model_that_the_engine_does_not_serve_is_refused(compatible: RunningEngine, key_file: Path) -> None:
    words = (compatible.endpoint.base_url, "--kind", "openai-compatible", "--model", "zz", "--key-file", str(key_file))
    with pytest.raises(CommandError, match="does not serve “zz”, but scripted"):
        run(*words)
    assert not Engine.objects.exists()
    _, err = run(*words, "--unlisted")
    assert "does not list “zz”, but scripted" in err and Deployment.objects.get().artifact.ref == "zz"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ftp://h", "--kind", "llama.cpp", "--model", "x"], "no engine's address"),
        (["h:80", "--kind", "llama.cpp", "--model", "x"], "no engine's address"),
        (["http://h:99999", "--kind", "llama.cpp", "--model", "x"], "no engine's address"),
        (["http://u:p@h", "--kind", "llama.cpp", "--model", "x"], "no engine's address"),
        (["http://:p@h", "--kind", "llama.cpp", "--model", "x"], "no engine's address"),
        (["http://169.254.169.254", "--kind", "llama.cpp", "--model", "x"], "no engine's address"),
        (["http://h:9", "--kind", "steam", "--model", "x"], "no engine of kind “steam”"),
        (["http://h:9", "--kind", "llama.cpp", "--model", " "], "Name the model"),
        (["http://h:9", "--kind", "llama.cpp", "--model", "x", "--slots", "0"], "slots is 0; it must be 1 or more"),
        (["http://h:9", "--kind", "llama.cpp", "--model", "x", "--context", "-1"], "context is -1"),
        (["http://h:9", "--kind", "llama.cpp", "--model", "x", "--key-file", "/no/such"], "/no/such can't be read"),
    ],
)
def test_a_wish_that_makes_no_sense_gets_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*words)
    assert not Engine.objects.exists()


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(CommandError, match="does not hold one key"):
        run("http://h:9", "--kind", "llama.cpp", "--model", "x", "--key-file", str(tmp_path / "empty"))


def test_an_engine_stays_a_cloud_though_the_word_is_left_out_the_next_time() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    run(url, "--kind", "openai-compatible", "--model", "x", "--cloud")
    run(url, "--kind", "openai-compatible", "--model", "x", "--slots", "8")
    run(url, "--kind", "openai-compatible", "--model", "y")
    assert Engine.objects.get().is_cloud
    with pytest.raises(CommandError, match="one of the two is a cloud"):
        run(f"http://127.0.0.1:{free_port()}", "--kind", "openai-compatible", "--model", "y")
