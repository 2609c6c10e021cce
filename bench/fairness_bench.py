"""Tries a simulated box with several seeds and a whole site once, and prints what became of each aim."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Iterable
from datetime import date

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "r1web.settings")
django.setup()

from bench import fair_site, page  # noqa: E402
from bench import fairness_trials as trials  # noqa: E402

SEEDS, OVERLOADED_SEEDS = range(5), range(2)
WAITS = 200
AIM_JAIN, AIM_HELD, AIM_USED = 0.95, 0.80, 0.95


def hog_table() -> str:
    lines = ["| one hog, nine people | Jain | slots in use | aim | |", "|---|---|---|---|---|"]
    for name, is_fair in (("first come, first served", False), ("as here", True)):
        found = [trials.hog(seed, is_fair=is_fair) for seed in SEEDS]
        index = _range((each.jain for each in found), "{:.3f}")
        aim = f"≥ {AIM_JAIN} | {_verdict(min(each.jain for each in found) >= AIM_JAIN)}" if is_fair else "– | –"
        lines.append(f"| {name} | {index} | {_range((each.utilisation for each in found), '{:.3f}')} | {aim} |")
    return "\n".join(lines)


def cards_table() -> str:
    lines = [
        "| two models, one card | used of the card | of it without a bound | loads an hour | common: p95 wait, s | "
        "rare: longest wait, s | bound, s | |",
        "|" + "---|" * 8,
    ]
    for load, seeds in ((0.62, SEEDS), (1.05, OVERLOADED_SEEDS)):
        found = {
            name: [trials.two_models(seed, common=load, holds=holds) for seed in seeds]
            for name, holds in trials.POLICIES.items()
        }
        best = statistics.mean(each.used for each in found["collated, without a bound"])
        lines += [_card_line(f"{load:.0%} + 5 %, {name}", each, best) for name, each in found.items()]
    return "\n".join(lines)


def _card_line(name: str, found: list[trials.Swapped], best: float) -> str:
    used = statistics.mean(each.used for each in found)
    is_within = all(each.rare_longest_ms <= each.bound_ms for each in found)
    cells = [
        name,
        f"{used:.2f}",
        f"{used / best:.0%}",
        f"{statistics.mean(each.swaps_an_hour for each in found):.1f}",
        f"{statistics.mean(each.common_p95_ms for each in found) / 1000:,.0f}",
        f"{max(each.rare_longest_ms for each in found) / 1000:,.0f}",
        f"{min(each.bound_ms for each in found) / 1000:,.0f}",
        "within" if is_within else "above",
    ]
    return f"| {' | '.join(cells)} |"


def scripts_and_ranges_table() -> str:
    alone = [trials.script_flood(seed, count=0) / 1000 for seed in SEEDS]
    flooded = [trials.script_flood(seed) / 1000 for seed in SEEDS]
    held = [trials.share_held(trials.kept_ranges(seed)[:WAITS]) for seed in SEEDS]
    return "\n".join(
        [
            "| | lowest to highest of five seeds | aim | |",
            "|---|---|---|---|",
            f"| longest wait of a person at 83 % load, s, no scripts | {_range(alone, '{:.0f}')} | – | – |",
            f"| the same beside 300 script calls | {_range(flooded, '{:.0f}')} | – | – |",
            f"| first told range holds the wait, of {WAITS} | {_range(held, '{:.0%}')} | ≥ {AIM_HELD:.0%} | "
            f"{_verdict(min(held) >= AIM_HELD)} |",
        ]
    )


def site_table(seen: fair_site.Seen) -> str:
    return "\n".join(
        [
            "| a whole site, 100 s | | aim | |",
            "|---|---|---|---|",
            f"| Jain over charged GPU time, a hog and five others | {seen.jain:.3f} | ≥ {AIM_JAIN} | "
            f"{_verdict(seen.jain >= AIM_JAIN)} |",
            f"| charged of what the slots could give | {seen.charged_of_all:.0%} | – | – |",
            f"| first told range holds the wait, of {seen.told} | {seen.held:.0%} | ≥ {AIM_HELD:.0%} | "
            f"{_verdict(seen.held >= AIM_HELD)} |",
            f"| from the middle of the range, median / p90, s | {seen.median_error_ms / 1000:.1f} / "
            f"{seen.p90_error_ms / 1000:.1f} | – | – |",
        ]
    )


def _range(values: Iterable[float], form: str) -> str:
    found = sorted(values)
    return f"{form.format(found[0])} – {form.format(found[-1])}"


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "missed"


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench/fairness", description=__doc__)
    parser.add_argument("--only", choices=("simulated", "site"))
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args(words)
    head = f"Measured {date.today()} on {os.cpu_count()} cores (load average {os.getloadavg()[0]:.1f})."
    tables = [] if options.only == "simulated" else [site_table(fair_site.run())]
    if options.only != "site":
        tables += [hog_table(), cards_table(), scripts_and_ranges_table()]
    text = "\n\n".join([head, *tables])
    print(text)
    if options.write:
        page.write("fairness", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
