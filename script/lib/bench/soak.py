"""A long run at full load: what grows, and what does not."""

import os
import time

from world import Wrong, status_value

EVERY_S = 15
SETTLED_S = 120                     # until autovacuum has come round; growth counts from here
BACKLOG = 8000
SIZES = ("SELECT pg_relation_size('roleferry.outbox'),"
         " pg_indexes_size('roleferry.outbox'), (SELECT pg_relation_size(reltoastrelid)"
         " FROM pg_class WHERE oid = 'roleferry.outbox'::regclass)")


def look(bench, pid, started):
    """One line of the run."""
    table, indexes, toast = (int(size) / 1048576 for size in bench.server.sql(SIZES).split("|"))
    return {"second": round(time.monotonic() - started), "mails": bench.provider.stats()["distinct"],
            "private_mb": status_value(pid, "RssAnon") / 1024,
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "table_mb": table, "indexes_mb": indexes, "toast_mb": toast}


def feed(bench):
    """Keeps the dispatcher busy, and the backlog as it is."""
    while bench.server.number("SELECT count(*) FROM roleferry.outbox") < BACKLOG:
        bench.ours.fill(2000, 0, vacuum=False)


def soak(bench, seconds, say):
    """The whole run; 0 when every mail went once and nothing was lost."""
    bench.ours.clear()
    bench.ours.restart()
    bench.provider.reset()
    bench.ours.fill(BACKLOG, 0)
    bench.ours.start(64, 0)
    pid = bench.ours.pid()
    started = time.monotonic()
    lines = []
    while time.monotonic() - started < seconds:
        until = time.monotonic() + EVERY_S
        while time.monotonic() < until:
            feed(bench)
            time.sleep(0.05)
        lines.append(look(bench, pid, started))
        say("  " + "  ".join(f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}"
                             for name, value in lines[-1].items()))
    bench.server.until("NOT EXISTS (SELECT FROM roleferry.outbox)", 120)
    return report(bench, pid, lines, say)


def report(bench, pid, lines, say):
    sent = bench.server.number("SELECT count(*) FROM roleferry.message")
    bench.provider.check(int(sent))
    if bench.ours.pid() != pid:
        raise Wrong("the dispatcher is another one than at the beginning")
    settled = [line for line in lines if line["second"] >= SETTLED_S] or lines
    say(f"bench: soak {sent:.0f} mails, each once, in {lines[-1]['second']} s")
    for name, unit in (("private_mb", "MB"), ("descriptors", ""), ("table_mb", "MB"),
                       ("indexes_mb", "MB"), ("toast_mb", "MB")):
        values = [line[name] for line in settled]
        half = len(values) // 2 or 1
        say(f"bench: soak_{name} {sum(values[-half:]) / half:.1f} {unit} peer=first_half"
            f" {sum(values[:half]) / half:.1f} ratio={sum(values[:half]) / max(sum(values[-half:]), 0.001):.2f}")
    bench.ours.stop()
    return 0
