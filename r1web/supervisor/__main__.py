"""The second half of bin/up, inside the site's own environment."""

from __future__ import annotations

import sys

from r1web.supervisor import arguments, lock
from r1web.supervisor.failure import CannotGoOn, sentence_for
from r1web.supervisor.host import HostSupervisor
from r1web.supervisor.site import Site
from r1web.supervisor.supervise import Supervisor


def main(words: list[str]) -> int:
    site = Site(arguments.parse(words))
    try:
        with lock.held(site.data):
            return (HostSupervisor(site) if site.arguments.is_host else Supervisor(site)).run()
    except CannotGoOn as problem:
        print(problem, file=sys.stderr, flush=True)
    except OSError as error:
        print(sentence_for(error), file=sys.stderr, flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
