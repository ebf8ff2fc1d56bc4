"""Measures what is asked for: main.py [--quick] [--list] [NAME...]; see script/bench."""

import argparse
import sys
from statistics import median

import figures
import peers as others
from groups import all_groups
from ours import Roleferry
from runs import Bench
from world import Provider, Server, Wrong

RUNS = 3
MARGIN = 5              # how many times faster than anything it serves the provider must be


def say(text):
    print(text, flush=True)


def install_peers(server, provider):
    """Those that can run here."""
    ready = []
    for peer in others.ALL:
        who = peer(server, provider)
        absent = who.absent()
        if absent is None:
            who.install()
            ready.append(who)
        else:
            say(f"bench: peer={who.name} skipped ({absent})")
    return ready


def measure(group, samples):
    """All contestants in turn, some times; true when ours came through."""
    fine = True
    for _ in range(RUNS):
        for who, run in group.contestants:
            try:
                for name, value in run().items():
                    say(f"  {name} {who} {figures.BY_NAME[name].text(value)}")
                    samples.setdefault(name, {}).setdefault(who, []).append(value)
            except Wrong as error:
                say(f"bench: {group.figures[0]} of {who} failed: {error}")
                fine = fine and who != "roleferry"
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
    times = capacity / bench.fastest if bench.fastest else float("inf")
    say(f"bench: provider {capacity:.0f} requests/s, {times:.1f} times the fastest drain")
    if times < MARGIN:
        say(f"bench: the provider must be {MARGIN} times faster than what it serves: NO FIGURE ABOVE COUNTS")
    return times >= MARGIN


def same_mails(bench):
    """Requests of all are of one size."""
    sizes = bench.request_bytes
    for who, size in sizes.items():
        say(f"bench: a request of {who} has {size:.0f} bytes")
    return not sizes or max(sizes.values()) < 1.1 * min(sizes.values())


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in figures.BY_NAME]
    if unknown:
        parser.error(f"there is no figure {', '.join(unknown)}; script/bench --list names them")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.list:
        for figure in figures.ALL:
            say(f"{figure.name:28}{figure.meaning} ({figure.unit})")
        return 0

    server = Server()
    provider = Provider()
    ours = Roleferry(server, provider)
    ours.install()
    bench = Bench(server, provider, ours, arguments.quick)
    capacity = bench.capacity()
    say(f"bench: provider {capacity:.0f} requests/s alone")
    rivals = install_peers(server, provider)
    samples = {}
    fine = True
    try:
        for group in all_groups(bench, ours, rivals):
            if arguments.names and not set(arguments.names) & set(group.figures):
                continue
            if group.missing:
                for name in group.figures:
                    say(f"bench: {name} skipped ({group.missing})")
                continue
            fine = measure(group, samples) and fine
            for name in group.figures:
                if name in samples:
                    report(name, samples[name])
    finally:
        for who in rivals:
            who.stop()
            who.stop_store()
    fine = same_mails(bench) and fine
    return 0 if provider_keeps_up(bench, capacity) and fine else 1


sys.exit(main())
