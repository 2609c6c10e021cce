"""Machines: hosts, runner leases, engines, the catalogue, files, what is deployed, prices and the audit."""

from models_admin.models.catalogue import Artifact, CatalogueModel, PullJob, StoredArtifact
from models_admin.models.deployments import Deployment, RateCard, SlotLease
from models_admin.models.hosts import Engine, EngineChange, Host, Worker
from models_admin.models.records import AuditEntry, PriceRow

__all__ = [
    "Artifact",
    "AuditEntry",
    "CatalogueModel",
    "Deployment",
    "Engine",
    "EngineChange",
    "Host",
    "PriceRow",
    "PullJob",
    "RateCard",
    "SlotLease",
    "StoredArtifact",
    "Worker",
]
