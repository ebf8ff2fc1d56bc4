"""Measures what is asked for: main.py [--quick] [--runs=N] [--list] [NAME...]; see script/bench."""

import argparse
import json
import signal
import sys
import time
from statistics import median

import callers
import figures
import peers as others
from groups import all_groups
from ours import Roleferry
from runs import Bench
from soak import soak
from world import WORKSPACE, Provider, Server, Wrong, flush_ms, machine

MARGIN = 5              # how many times faster than anything it serves the provider must be


def say(text):
    print(text, flush=True)


def install_peers(kinds, server, provider):
    """Those that can run here."""
    ready = []
    for peer in kinds:
        who = peer(server, provider)
        absent = who.absent()
        if absent is None:
            who.install()
            ready.append(who)
        else:
            say(f"bench: peer={who.name} skipped ({absent})")
    return ready


def measure(group, runs, samples):
    """All contestants in turn, some times; true when ours came through."""
    fine = True
    for _ in range(max(runs, group.runs)):
        for who, run in group.contestants:
            try:
                for name, value in run().items():
                    say(f"  {name} {who} {figures.BY_NAME[name].text(value)}")
                    samples.setdefault(name, {}).setdefault(who, []).append(value)
            except Wrong as error:
                say(f"bench: {group.figures[0]} of {who} failed: {error}")
                fine = fine and who != "roleferry"
    return fine


def measure_all(bench, ours, rivals, asking, arguments, samples):
    """Every group that a name asks for; true when ours came through all of them."""
    fine = True
    for group in all_groups(bench, ours, rivals, asking):
        if arguments.names and not set(arguments.names) & set(group.figures):
            continue
        if group.missing:
            for name in group.figures:
                say(f"bench: {name} skipped ({group.missing})")
            continue
        fine = measure(group, arguments.runs, samples) and fine
        for name in group.figures:
            if name in samples:
                report(name, samples[name])
    return fine


def report(name, samples):
    """One line a peer, after a table of what the medians come from."""
    figure = figures.BY_NAME[name]
    for who, values in samples.items():
        say(f"  {name:28}{who:16} median {figure.text(median(values)):>9}  minimum {figure.text(min(values)):>9}"
            f"  maximum {figure.text(max(values)):>9}  {figure.unit}, {len(values)} runs")
    if "roleferry" not in samples:
        return
    ours = median(samples["roleferry"])
    start = f"bench: {name} {figure.text(ours)} {figure.unit}"
    rivals = {who: median(values) for who, values in samples.items() if who != "roleferry"}
    for who, value in rivals.items():
        say(f"{start} peer={who} {figure.text(value)} ratio={figure.ratio(ours, value):.2f}")
    if not rivals:
        say(f"{start} peer=none")


def provider_keeps_up(bench, capacity):
    """Otherwise the figures are the provider's."""
    if bench.fastest == 0:
        return True
    times = capacity / bench.fastest
    say(f"bench: provider {capacity:.0f} requests/s, {times:.1f} times the fastest drain")
    if times < MARGIN:
        say(f"bench: the provider must be {MARGIN} times faster than what it serves: NO FIGURE ABOVE COUNTS")
    return times >= MARGIN


def same_mails(bench):
    """Requests of all are of one size."""
    sizes = bench.request_bytes
    for who, size in sizes.items():
        say(f"bench: a request of {who} has {size:.0f} bytes")
    same = not sizes or max(sizes.values()) < 1.1 * min(sizes.values())
    if not same:
        say("bench: requests must be of one size: NO FIGURE ABOVE COUNTS")
    return same


def watch_held(bench, rivals, names):
    """How the first of the peers fares under a snapshot, for the picture; takes two minutes."""
    if not bench.quick and rivals and (not names or "drain_held_snapshot" in names):
        try:
            bench.watch_held(rivals[0], 60)
        except Wrong as error:
            say(f"bench: {rivals[0].name} under a snapshot: {error}")


def save(bench, server, capacity, samples):
    """All numbers, for script/bench --document; only of a run that counts."""
    results = {"about": {"date": time.strftime("%Y-%m-%d"), "machine": machine(),
                         "postgresql": "PostgreSQL " + server.sql("SHOW server_version").split()[0],
                         "provider": round(capacity), "flush_ms": f"{flush_ms():.2f}", "quick": bench.quick},
               "figures": {name: {who: [float(f"{value:.6g}") for value in values] for who, values in all_of.items()}
                           for name, all_of in samples.items()},
               "timelines": {who: merge_slots(timeline) for who, timeline in bench.timelines.items()}}
    (WORKSPACE / "results.json").write_text(json.dumps(results), encoding="utf-8")


def merge_slots(timeline):
    """Tenths of a second are enough for the picture."""
    sums = {}
    for at_ms, count in timeline:
        sums[at_ms // 100] = sums.get(at_ms // 100, 0) + count
    return [[slot * 100, count] for slot, count in sorted(sums.items())]


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--soak", type=int, metavar="SECONDS")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in figures.BY_NAME]
    if unknown:
        parser.error(f"there is no figure {', '.join(unknown)}; script/bench --list names them")
    return arguments


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parse_arguments()
    if arguments.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for figure in figures.ALL:
            say(f"{figure.name:28}{figure.meaning} ({figure.unit})")
        return 0

    server = Server()
    provider = Provider()
    ours = Roleferry(server, provider)
    ours.install()
    bench = Bench(server, provider, ours, arguments.quick)
    if arguments.soak:
        return soak(bench, arguments.soak, say)
    capacity = bench.capacity()
    say(f"bench: provider {capacity:.0f} requests/s alone")
    rivals = install_peers(others.ALL, server, provider)
    asking = install_peers(callers.ALL, server, provider)
    samples = {}
    try:
        fine = measure_all(bench, ours, rivals, asking, arguments, samples)
        watch_held(bench, rivals, arguments.names)
    finally:
        for who in rivals:
            who.stop()
            who.stop_store()
    capacity = max(capacity, bench.capacity())
    counts = same_mails(bench)
    counts = provider_keeps_up(bench, capacity) and counts
    if counts:
        save(bench, server, capacity, samples)
    return 0 if counts and fine else 1


sys.exit(main())
