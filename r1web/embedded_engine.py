"""The built-in engine: llama.cpp's own HTTP server, in a process of its own that can be killed and restarted.

It shows in `python -m r1web.embedded_engine --help` what it takes. Context is shared out evenly over the slots.
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import Any

# llama.cpp would keep up to 8 GiB of old prompts in memory.
PROMPT_CACHE_MIB = 64
# For a model of a megabyte more threads only wait for each other (2-8 tokens/s under load, 3,000 with one).
BYTES_PER_THREAD = 64 * 1024 * 1024
# As llama.cpp counts layers on cards.
AUTO_LAYERS, ALL_LAYERS = -1, -2


def main() -> None:
    options = _options()
    signals = {signal.SIGTERM, signal.SIGINT}
    # The server starts threads: blocked before them, the signals reach sigwait alone.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = serve(options)
    signal.sigwait(signals)
    del server


def serve(options: argparse.Namespace) -> object:
    """Start the server and return it."""
    from xllamacpp import CommonParams, Server

    settings = CommonParams()
    settings.model.path = str(options.model)
    settings.hostnames = [options.host]
    settings.port = options.port
    settings.api_keys = [options.key_file.read_text().strip()]
    settings.n_parallel = options.slots
    settings.n_ctx = options.context
    settings.endpoint_slots = True
    settings.use_jinja = True
    settings.ui = False
    settings.cache_ram_mib = options.cache_ram
    settings.cpuparams.n_threads = options.threads or _threads(options.model)
    settings.cpuparams_batch.n_threads = options.threads_batch or settings.cpuparams.n_threads
    if options.alias:
        settings.model_alias = {options.alias}
    _tune(settings, options)
    return Server(settings)


def _threads(model: Path) -> int:
    return max(1, min(os.cpu_count() or 1, model.stat().st_size // BYTES_PER_THREAD))


def _tune(settings: Any, options: argparse.Namespace) -> None:
    """What an admin may ask for; what is not named stays as llama.cpp has it."""
    import xllamacpp

    if options.gpu_layers:
        words = {"auto": AUTO_LAYERS, "all": ALL_LAYERS}
        settings.n_gpu_layers = words[options.gpu_layers] if options.gpu_layers in words else int(options.gpu_layers)
    settings.n_batch = options.batch_size or settings.n_batch
    settings.n_ubatch = options.ubatch_size or settings.n_ubatch
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type({"auto": -1, "off": 0, "on": 1}[options.flash_attn])
    settings.cache_type_k = xllamacpp.ggml_type[f"GGML_TYPE_{options.cache_type_k.upper()}"]
    settings.cache_type_v = xllamacpp.ggml_type[f"GGML_TYPE_{options.cache_type_v.upper()}"]
    settings.split_mode = xllamacpp.llama_split_mode[f"LLAMA_SPLIT_MODE_{options.split_mode.upper()}"]
    settings.main_gpu = options.main_gpu
    settings.no_kv_offload = options.no_kv_offload
    if options.tensor_split:
        shares = [float(share) for share in options.tensor_split.split(",")]
        settings.tensor_split = shares + [0.0] * (len(settings.tensor_split) - len(shares))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve a GGUF model with llama.cpp.", allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="GGUF file, the first of a split one")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (loopback)")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-file", type=Path, required=True, help="file with the key that requests must bear")
    parser.add_argument("--alias", default="", help="name of the model in answers (the file's)")
    parser.add_argument("--slots", type=int, default=8, help="answers at once")
    parser.add_argument("--context", type=int, default=16384, help="tokens of context over all slots, 0: the model's")
    _add_tuning(parser.add_argument_group("as in llama-server"))
    return parser.parse_args()


def _add_tuning(group: argparse._ArgumentGroup) -> None:
    for flag in ("--threads", "--threads-batch", "--batch-size", "--ubatch-size", "--main-gpu"):
        group.add_argument(flag, type=int, default=0)
    group.add_argument("--cache-ram", type=int, default=PROMPT_CACHE_MIB, help="MiB of old prompts to keep")
    group.add_argument("--gpu-layers", default="", help="a number, auto or all")
    group.add_argument("--flash-attn", choices=("auto", "on", "off"), default="auto")
    group.add_argument("--cache-type-k", default="f16")
    group.add_argument("--cache-type-v", default="f16")
    group.add_argument("--split-mode", choices=("none", "layer", "row"), default="layer")
    group.add_argument("--tensor-split", default="")
    group.add_argument("--no-kv-offload", action="store_true")


if __name__ == "__main__":
    main()
