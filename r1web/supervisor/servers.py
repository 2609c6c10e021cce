"""Engine servers that this machine launched: they outlive the process that keeps them, and end with all the rest."""

from __future__ import annotations

import os
from pathlib import Path

from r1web.supervisor.site import Site
from r1web.supervisor.terminal import say

# As the agent's folder is called within that of the models.
FOLDER = ".servers"
# A server that does not go when it is asked is killed within this time.
PATIENCE_SECONDS, END_SECONDS = 5.0, 8.0


def end(site: Site) -> None:
    """End those that run; what the site wants stays noted, and is begun again with it."""
    folder = Path(os.environ.get("R1WEB_MODELS", "") or site.data / "models").absolute() / FOLDER
    if not any(folder.glob("records/*.json")):
        return
    # Only where something was launched at all: the keeper brings much along.
    from models_admin.servers import keeper

    if not keeper.end_all(folder, seconds=END_SECONDS, patience=PATIENCE_SECONDS):
        say(f"  A server that was launched here runs on: {folder / 'records'} names its process.")
