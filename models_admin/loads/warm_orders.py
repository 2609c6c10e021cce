"""Sends what loads, ends and measures deployments: to their host where it launches their server, else to a runner."""

from __future__ import annotations

from typing import cast

from models_admin.hosts import queue, runner_queue
from models_admin.models import Deployment, StoredArtifact
from models_admin.orders.launch_orders import LaunchOrder, ProgramName, Server

LOOPBACK = "127.0.0.1"


def send_start(row: Deployment) -> None:
    if hasattr(row, "launch"):
        queue.launch(row.engine.host.queue, LaunchOrder(row.pk, row.attempt, server_of(row)))
    else:
        runner_queue.warm_up(row.pk, row.attempt)


def send_check(row: Deployment) -> None:
    """A server that is ready is asked for its first token by a runner, the way answers go."""
    runner_queue.warm_up(row.pk, row.attempt)


def send_end(row: Deployment) -> None:
    if hasattr(row, "launch"):
        end_server(row.engine.host.queue, row.pk, row.attempt)
    else:
        runner_queue.unload(row.pk, row.attempt)


def end_server(host_queue: str, deployment: int, attempt: int) -> None:
    queue.launch(host_queue, LaunchOrder(deployment, attempt))


def send_measure(row: Deployment) -> None:
    runner_queue.measure(row.pk, row.attempt)


def server_of(row: Deployment) -> Server:
    """What its host shall start."""
    launch, artifact = row.launch, row.artifact
    stored = StoredArtifact.objects.filter(host=row.engine.host, artifact=artifact).first()
    return Server(
        program=cast(ProgramName, launch.program),
        model=(stored.path if stored else "") or artifact.ref,
        name=artifact.ref,
        port=launch.port,
        bind=row.engine.host.address or LOOPBACK,
        context=row.context_tokens,
        slots=row.slots,
        flags=tuple((str(name), str(value)) for name, value in launch.flags),
        gpus=tuple(launch.gpus_in_use or launch.gpus),
    )
