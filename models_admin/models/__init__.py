"""Machines: hosts, runner leases, engines, the catalogue, files, what is deployed, prices and the audit."""

from models_admin.models.catalogue import Artifact, CatalogueModel, ModelAccess, PullJob, StoredArtifact
from models_admin.models.deployments import Deployment, Launch, Measurement, Pin, RateCard, SlotLease
from models_admin.models.first_run import FirstRun
from models_admin.models.hosts import Engine, EngineChange, Host, JoinCode, Worker
from models_admin.models.records import AuditEntry, PriceRow

__all__ = [
    "Artifact",
    "AuditEntry",
    "CatalogueModel",
    "Deployment",
    "Engine",
    "EngineChange",
    "FirstRun",
    "Host",
    "JoinCode",
    "Launch",
    "Measurement",
    "ModelAccess",
    "Pin",
    "PriceRow",
    "PullJob",
    "RateCard",
    "SlotLease",
    "StoredArtifact",
    "Worker",
]
