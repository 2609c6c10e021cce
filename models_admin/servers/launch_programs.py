"""How a server is started: words and environment for vLLM, SGLang and llama.cpp. Nothing is started here.

Keys stand in files or the environment, never among the words, which everybody on the machine may read.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.utils.translation import gettext as _

from models_admin.family import model_names
from models_admin.hosts import installed
from models_admin.orders.launch_orders import Server
from models_admin.servers import launch_flags

MAX_PATH = 1000
MAX_GPUS = 64
LOWEST_PORT = 1024
_PROGRAMS = {"vllm": "vllm", "sglang": "sglang", "llama.cpp": "llama-server"}
# What an engine needs beyond `installed.PASSED_ON`: where models lie, how to reach their hub, the cards' libraries.
_PASSED_ON = {
    "HF_HOME", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "XDG_CACHE_HOME", "CUDA_HOME", "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "TRITON_CACHE_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}  # fmt: skip
_PASSED_ON_PREFIXES = ("NCCL_", "NVIDIA_", "VLLM_CPU_")
_QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_FIRST_SHARD = re.compile(r"-00001-of-\d{5}\.gguf$", re.IGNORECASE)
_LATER_SHARD = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
ROOT = Path(__file__).resolve().parents[2]


class LaunchRefused(Exception):
    """Why a server is not started, however often one tries: `reason` is a word of `warm_words`, the text a sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Start:
    """`program` is the path to run, `words` what it is called with. `file` is written before, for its owner alone."""

    program: str
    words: tuple[str, ...]
    environment: Mapping[str, str]
    file: tuple[Path, str] | None = None


@dataclass(frozen=True)
class _Launch:
    """A checked server on its way to words. `home` holds what is its own."""

    server: Server
    program: str | None
    home: Path
    key: str
    valued: list[str] = field(default_factory=list)
    switches: list[str] = field(default_factory=list)

    def has(self, *flags: str) -> bool:
        return any(flag in self.valued for flag in flags)


def start(server: Server, *, home: Path, key: str, path: str | None = None) -> Start:
    """Checks all of an order again, which came over a wire. `path` is where programs are looked for (PATH).

    Raises LaunchRefused.
    """
    _check(server, key)
    launch = _Launch(server, shutil.which(_PROGRAMS[server.program], path=path), home, key)
    for flag, value in _flags(server):
        if launch_flags.has_value(server.program, flag):
            launch.valued.extend((flag, value))
        else:
            launch.switches.append(flag)
    begun = _STARTS[server.program](launch)
    return replace(begun, environment={**_environment(server), **begun.environment})


def ready_paths(server: Server) -> tuple[str, ...]:
    """Where to ask whether it is ready: the next one where the program does not know one."""
    # Not SGLang's /health first: each call there generates a token.
    return ("/ready", "/health", "/v1/models") if server.program == "sglang" else ("/health", "/v1/models")


def _vllm(launch: _Launch) -> Start:
    server = launch.server
    words = ["vllm", "serve", _folder_or_name(server.model), *launch.valued]
    if server.context and not launch.has("--max-model-len"):
        words += ["--max-model-len", str(server.context)]
    if server.slots and not launch.has("--max-num-seqs"):
        words += ["--max-num-seqs", str(server.slots)]
    words += [*launch.switches, "--served-model-name", server.name, *_listen(server)]
    return Start(_found(launch), tuple(words), {**_QUIET, "VLLM_API_KEY": launch.key})


def _sglang(launch: _Launch) -> Start:
    server = launch.server
    script = _found(launch)
    interpreter = installed.interpreter(Path(script))
    # `sglang serve` first asks the hub what kind of model it is; the module only serves, in old releases too.
    words = [interpreter, "-m", "sglang.launch_server"] if interpreter else [script, "serve"]
    settings = launch.home / "sglang.yaml"
    words += ["--config", str(settings), "--model-path", _folder_or_name(server.model), *launch.valued]
    if server.context and not launch.has("--context-length"):
        words += ["--context-length", str(server.context)]
    if server.slots and not launch.has("--max-running-requests"):
        words += ["--max-running-requests", str(server.slots)]
    words += [*launch.switches, "--served-model-name", server.name, *_listen(server)]
    return Start(words[0], tuple(words), _QUIET, (settings, f"api-key: {json.dumps(launch.key)}\n"))


def _llama_cpp(launch: _Launch) -> Start:
    server, key_file = launch.server, launch.home / "key"
    slots = server.slots or 1
    model = ["--model", str(_gguf(server.model)), *launch.valued, *launch.switches, "--alias", server.name]
    if launch.program:
        words = [launch.program, *model, "--ctx-size", str(server.context * slots), "--parallel", str(slots)]
        words += ["--api-key-file", str(key_file)]
    else:
        words = [sys.executable, "-m", "r1web.embedded_engine", *model, "--context", str(server.context * slots)]
        words += ["--slots", str(slots), "--key-file", str(key_file)]
    environment = {} if launch.program else _built_in_environment()
    return Start(words[0], (*words, *_listen(server)), environment, (key_file, f"{launch.key}\n"))


_STARTS: Mapping[str, Callable[[_Launch], Start]] = {"vllm": _vllm, "sglang": _sglang, "llama.cpp": _llama_cpp}


def _check(server: Server, key: str) -> None:
    _check_name(server)
    try:
        ipaddress.ip_address(server.bind)
    except ValueError as error:
        text = _("“%(address)s” is no address to listen on.") % {"address": model_names.shown(server.bind)}
        raise LaunchRefused("launch_refused", text) from error
    if not LOWEST_PORT <= server.port <= 65535:
        raise LaunchRefused("launch_refused", _("A port lies between 1024 and 65535."))
    if min(server.context, server.slots) < 0 or server.context > 10_000_000 or server.slots > 65_536:
        raise LaunchRefused("launch_refused", _("Context or slots are out of range."))
    if len(set(server.gpus)) != len(server.gpus) or not all(0 <= gpu < MAX_GPUS for gpu in server.gpus):
        raise LaunchRefused("launch_refused", _("The list of GPUs names one twice, or one that cannot be."))
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise LaunchRefused(
            "launch_refused", _("There is no key for this server; none is started that everybody may use.")
        )


def _check_name(server: Server) -> None:
    """A file that its owner put on the host is served under its own path."""
    if server.name.startswith("/") and server.name == server.model:
        _existing(server.model)
        return
    try:
        model_names.served(server.name)
    except model_names.NameRefused as error:
        raise LaunchRefused("launch_refused", str(error)) from error


def _flags(server: Server) -> tuple[tuple[str, str], ...]:
    try:
        return launch_flags.check(server.program, server.flags)
    except launch_flags.FlagRefused as error:
        raise LaunchRefused("launch_refused", str(error)) from error


def _found(launch: _Launch) -> str:
    if launch.program is None:
        text = _("%(program)s is not installed on this host.") % {"program": launch.server.program}
        raise LaunchRefused("program_missing", text)
    return launch.program


def _folder_or_name(model: str) -> str:
    """As the engine gets it: an absolute folder, or a name that its hub knows."""
    if model.startswith("/"):
        return str(_existing(model))
    try:
        wanted = model_names.repository(model)
    except model_names.NameRefused as error:
        raise LaunchRefused("launch_refused", str(error)) from error
    if wanted.file:
        text = _("“%(name)s” is one file; this program loads a whole repository.") % {"name": model_names.shown(model)}
        raise LaunchRefused("launch_refused", text)
    return str(wanted)


def _gguf(model: str) -> Path:
    """The file to load: itself, or the only one (or the first of a split one) in a folder."""
    path = _existing(model)
    if path.is_file():
        return path
    files = sorted(file for file in path.rglob("*.gguf") if not _is_later_shard(file.name))
    if len(files) != 1:
        text = _("“%(name)s” does not hold exactly one GGUF model.") % {"name": model_names.shown(path.name)}
        raise LaunchRefused("files_missing", text)
    return files[0]


def _is_later_shard(name: str) -> bool:
    return bool(_LATER_SHARD.search(name)) and not _FIRST_SHARD.search(name)


def _existing(model: str) -> Path:
    path = Path(model) if len(model) <= MAX_PATH and model.isprintable() else None
    if path is None or not path.is_absolute() or ".." in path.parts:
        text = _("“%(name)s” is no model’s path on this host.") % {"name": model_names.shown(model)}
        raise LaunchRefused("launch_refused", text)
    if not path.exists():
        told = {"name": model_names.shown(path.name)}
        text = _("The files of this model are not where they were: “%(name)s”.") % told
        raise LaunchRefused("files_missing", text)
    return path


def _listen(server: Server) -> list[str]:
    return ["--host", server.bind, "--port", str(server.port)]


def _environment(server: Server) -> dict[str, str]:
    wanted = _PASSED_ON | set(installed.PASSED_ON)
    chosen = {
        name: value for name, value in os.environ.items() if name in wanted or name.startswith(_PASSED_ON_PREFIXES)
    }
    # Cards are counted as NVML counts them; CUDA's own order puts the fastest first.
    chosen["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if server.gpus:
        chosen["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, server.gpus))
    return chosen | (_OFFLINE if server.model.startswith("/") else {})


def _built_in_environment() -> dict[str, str]:
    """It is a module of the site; a libgomp that set-up borrowed lies in its virtual environment."""
    borrowed = Path(sys.prefix) / "lib" / "r1web-libgomp"
    values = {"PYTHONPATH": str(ROOT)}
    if borrowed.exists():
        folders = [str(borrowed), os.environ.get("LD_LIBRARY_PATH", "")]
        values["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))
    return values
