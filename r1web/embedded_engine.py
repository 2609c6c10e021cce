"""The built-in engine: llama.cpp's own HTTP server, in a process of its own that can be killed and restarted.

It shows in `python -m r1web.embedded_engine --help` what it takes. Context is shared out evenly over the slots.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

# llama.cpp would keep up to 8 GiB of old prompts in memory.
PROMPT_CACHE_MIB = 64


def main() -> None:
    options = _options()
    signals = {signal.SIGTERM, signal.SIGINT}
    # The server starts threads: blocked before them, the signals reach sigwait alone.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    key = options.key_file.read_text().strip()
    server = serve(
        options.model, options.host, port=options.port, key=key, slots=options.slots, context=options.context
    )
    signal.sigwait(signals)
    del server


def serve(model: Path, host: str, *, port: int, key: str, slots: int, context: int) -> object:
    """Start the server and return it; `context` tokens are the sum over all slots."""
    from xllamacpp import CommonParams, Server

    settings = CommonParams()
    settings.model.path = str(model)
    settings.hostnames = [host]
    settings.port = port
    settings.api_keys = [key]
    settings.n_parallel = slots
    settings.n_ctx = context
    settings.endpoint_slots = True
    settings.use_jinja = True
    settings.ui = False
    settings.cache_ram_mib = PROMPT_CACHE_MIB
    # A model of a megabyte: more threads only wait for each other (2-8 tokens/s under load, 3,000 with one).
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    return Server(settings)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve a GGUF model with llama.cpp.")
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on (loopback)")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-file", type=Path, required=True, help="file with the key that requests must bear")
    parser.add_argument("--slots", type=int, default=8, help="answers at once")
    parser.add_argument("--context", type=int, default=16384, help="tokens of context over all slots")
    return parser.parse_args()


if __name__ == "__main__":
    main()
