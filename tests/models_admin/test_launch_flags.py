"""Which flags a server may be given, as an admin meets it, and the words that a host makes of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.orders.launch_orders import Server
from models_admin.servers import launch_flags, launch_programs
from models_admin.servers.launch_flags import ALLOWED, FlagRefused
from models_admin.servers.launch_programs import LaunchRefused

R1_32B = "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
KEY = "0123456789e5"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("vllm", "sglang", "llama-server"):
        (folder / name).write_text(f"#!{sys.executable}\n")
        (folder / name).chmod(0o755)
    return folder


def started(server: Server, programs: Path) -> launch_programs.Start:
    return launch_programs.start(server, home=programs.parent, key=KEY, path=str(programs))


@pytest.mark.parametrize(
    ("typed", "context"),
    [
        ("--tensor-parallel-size 2 --max-model-len 32768 --enforce-eager", 0),
        ("--enforce-eager\n--tensor-parallel-size=2", 32768),
    ],
)
def test_a_typed_line_becomes_exactly_the_command_of_the_manual(programs: Path, typed: str, context: int) -> None:
    flags = launch_flags.check("vllm", launch_flags.parse(typed))
    start = started(Server("vllm", R1_32B, "r1:32b", 8123, context=context, flags=flags, gpus=(1, 3)), programs)
    assert " ".join(start.words) == (
        f"vllm serve {R1_32B} --tensor-parallel-size 2 --max-model-len 32768 --enforce-eager"
        " --served-model-name r1:32b --host 127.0.0.1 --port 8123"
    )
    assert start.program == str(programs / "vllm")
    assert start.environment["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert start.environment["VLLM_API_KEY"] == KEY


def test_a_file_of_the_host_is_served_under_its_own_path_and_no_other(programs: Path) -> None:
    file = programs / "mine.gguf"
    file.touch()
    start = started(Server("llama.cpp", str(file), str(file), 8123), programs)
    assert f"--model {file} --alias {file}" in " ".join(start.words)
    with pytest.raises(LaunchRefused, match="no name of a model"):
        started(Server("llama.cpp", str(file), "/etc/passwd", 8123), programs)


def test_no_key_stands_among_the_words_and_no_secret_of_the_site_in_the_environment(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("R1WEB_SECRET_KEY", "REDIS_URL", "DATABASE_URL", "SECRET_KEY", "VLLM_API_KEY"):
        monkeypatch.setenv(name, "of the site")
    model = programs / "model.gguf"
    model.touch()
    for program in ALLOWED:
        start = started(Server(program, str(model), "r1", 8123), programs)  # type: ignore[arg-type]
        assert KEY not in " ".join(start.words)
        assert "of the site" not in start.environment.values()
        assert start.environment["HF_HUB_OFFLINE"] == "1", "files that are there need no hub"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--trust-remote-code", "would run code"),
        ("--host 0.0.0.0", "field of its own"),
        ("--api-key=x", "field of its own"),
        ("--model evil/model", "field of its own"),
        ("--trust-remote", "not among the flags"),
        ("--enforce-eager yes", "takes no value"),
        ("--tensor-parallel-size", "whole number from 1 to 64"),
        ("--tensor-parallel-size 65", "whole number from 1 to 64"),
        ("--tensor-parallel-size ٢", "whole number from 1 to 64"),
        ("--gpu-memory-utilization 1.2", "number from 0.05 to 1"),
        ("--kv-cache-dtype pickle", "one of auto"),
        ("--seed -1", "whole number"),
        ("--reasoning-parser deepseek_r1;rm", "short name"),
        ("--seed 1 --seed 2", "there twice"),
        ("—enforce-eager", "belongs to no flag"),
        ("-tp 2", "belongs to no flag"),
        ("--seed 1 " * 1000, "longer than"),
    ],
)
def test_what_may_not_be_given_is_refused_in_words(line: str, why: str) -> None:
    with pytest.raises(FlagRefused, match=why):
        launch_flags.check("vllm", launch_flags.parse(line))


_TEXT = st.text(max_size=30)
_NAMES = st.one_of(_TEXT, st.sampled_from(sorted({flag for flags in ALLOWED.values() for flag in flags})))
_VALUES = st.one_of(
    _TEXT,
    st.integers(-2, 40).map(str),
    st.sampled_from(["--trust-remote-code", "-x", "auto", "fp8", "3,1", "1 --api-key", "1\n", "on", "deepseek_r1"]),
)


@given(st.sampled_from(sorted(ALLOWED)), st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
def test_no_accepted_pair_becomes_another_flag(program: str, pairs: list[tuple[str, str]]) -> None:
    try:
        accepted = launch_flags.check(program, pairs)
    except FlagRefused as refused:
        assert str(refused).isprintable() and len(str(refused)) < 1000
        return
    words = [word for pair in accepted for word in pair if word]
    assert [word for word in words if word.startswith("-")] == [flag for flag, _value in accepted]
    assert all(flag in ALLOWED[program] for flag, _value in accepted)
    assert all(word.isprintable() and word.isascii() and " " not in word and "=" not in word for word in words)


@pytest.mark.parametrize(
    "model",
    ["-x", "../../etc", "--trust-remote-code", "a/b\nc", "x" * 10_000, "; rm", "/etc/../x", "evil.org/a/b:1", ""],
)
@pytest.mark.parametrize("program", sorted(ALLOWED))
def test_a_name_that_is_no_model_is_never_started(programs: Path, program: str, model: str) -> None:
    with pytest.raises(LaunchRefused) as refused:
        started(Server(program, model, "r1", 8123), programs)  # type: ignore[arg-type]
    assert refused.value.reason == "launch_refused" and len(str(refused.value)) < 300


def test_a_split_model_is_loaded_by_its_first_file(programs: Path) -> None:
    folder = programs / "R1" / "Q4"
    folder.mkdir(parents=True)
    for number in (2, 1, 3):
        (folder / f"R1-0000{number}-of-00003.gguf").touch()
    server = Server("llama.cpp", str(folder.parent), "r1", 8123, context=4096, slots=4)
    words = started(server, programs).words
    assert words[:3] == (str(programs / "llama-server"), "--model", str(folder / "R1-00001-of-00003.gguf"))
    assert words[words.index("--ctx-size") + 1] == "16384" and words[words.index("--parallel") + 1] == "4"
    (folder / "other.gguf").touch()
    with pytest.raises(LaunchRefused, match="exactly one"):
        started(server, programs)


def test_a_program_that_is_not_installed_is_told_and_llama_cpp_is_built_in(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefused, match="vllm is not installed"):
        started(Server("vllm", R1_32B, "r1", 8123), tmp_path)
    (tmp_path / "model.gguf").touch()
    words = started(Server("llama.cpp", str(tmp_path / "model.gguf"), "r1", 8123), tmp_path).words
    assert words[:3] == (sys.executable, "-m", "r1web.embedded_engine")
