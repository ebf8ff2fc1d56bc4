"""The soak itself: main.py CLUSTER-DIRECTORY PROVIDERS-DIRECTORY SECONDS SEED.

Clients enqueue, things go wrong, and in the end the providers' journal is
compared with what the clients know they committed.  Prints a line for each
check ("ok", "not ok"), and last

    soak: N committed, A accepted, U unknown, 0 lost, 0 duplicated, 0 phantom
"""

import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
# pylint: disable=wrong-import-position
from client import Client
from demo_world import Database, DatabaseDown, Providers
from faults import Faults
from quiet import quiet_checks
from truth import judge

CLIENTS = 4
DRAIN_S = 180
# What waits for its next try need not wait that long here.
HURRY = "UPDATE roleferry.outbox SET run_at = now() WHERE worker IS NULL AND run_at > now()"
RESUME = "SELECT count(roleferry.resume_account(account)) FROM unnest(ARRAY['sendgrid', 'mailgun']) account"


def patiently(database, sql, seconds=120):
    """The server may be coming back yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return database.rows(sql)
        except DatabaseDown:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def resolve_prepared(database):
    """Every other one is committed; whether it was is in the client's own table."""
    for number, (name,) in enumerate(patiently(database, "SELECT gid FROM pg_prepared_xacts ORDER BY gid")):
        patiently(database, f"{'ROLLBACK' if number % 2 else 'COMMIT'} PREPARED '{name}'")


def drain(database):
    """Every job ends.  False: not in time."""
    for name, in patiently(database, "SELECT name FROM pg_settings WHERE name LIKE 'roleferry.%'"
                                     " AND sourcefile LIKE '%postgresql.auto.conf'"):
        patiently(database, f"ALTER SYSTEM RESET {name}")
    patiently(database, "SELECT pg_reload_conf()")
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline:
        try:
            if database.value("SELECT count(*) FROM roleferry.outbox") == "0":
                return True
            database.rows(f"{RESUME}; {HURRY}; SELECT roleferry.wake()")
        except DatabaseDown:
            pass                    # a fault point that was armed may still strike
        time.sleep(1)
    return False


def endure(database, providers, seconds, seed):
    """Clients and faults side by side; the clients when both have ended."""
    started = time.monotonic()

    def say(what, more):
        print(f"# {time.monotonic() - started:6.1f} s  {what} {more}", flush=True)

    ended = threading.Event()
    clients = [Client(number, database.directory, seed, ended) for number in range(CLIENTS)]
    faults = Faults(database, providers, database.directory, seed, say)
    for thread in [*clients, faults]:
        thread.start()
    deadline = started + seconds
    while time.monotonic() < deadline and not any(thread.trouble for thread in [*clients, faults]):
        time.sleep(0.2)
    faults.over.set()
    faults.join()
    ended.set()
    for client in clients:
        client.join()
    say("the clients have ended:", f"{sum(client.transactions for client in clients)} transactions, "
        f"{faults.made} faults, {sum(client.cut_off for client in clients)} sessions cut off")
    return clients, [thread.trouble for thread in [*clients, faults] if thread.trouble]


class Checks:
    """TAP."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def __call__(self, good, name, complaints=()):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        for complaint in list(complaints)[:20]:
            print(f"#   {complaint}")


def main():
    database, providers = Database(sys.argv[1]), Providers(sys.argv[2])
    seconds, seed = float(sys.argv[3]), sys.argv[4]
    check = Checks()

    print(f"# seed {seed}", flush=True)
    clients, troubles = endure(database, providers, seconds, seed)
    check(not troubles, "clients and faults come to their end", troubles)
    resolve_prepared(database)
    check(drain(database), "every job ends", left_over(database))
    totals = judge(database, providers, clients, check)
    quiet_checks(database, check)
    crashes = crashed(database.directory)
    check(not crashes, "nothing crashed that was not killed", crashes)
    print(f"1..{check.count}")
    print(totals)
    return 1 if check.failed else 0


def crashed(directory):
    """Lines of the server's log that no fault of ours explains."""
    with open(f"{directory}/server.log", encoding="utf-8", errors="replace") as log:
        return [line.strip() for line in log if re.search(r"PANIC:|TRAP:|terminated by signal (?!9:)", line)]


def left_over(database):
    return [" ".join(row) for row in patiently(
        database, "SELECT o.id, o.task, o.lane, o.worker, o.attempts, o.failures, o.crashes, o.run_at, o.args ->> 'subject'"
                  " FROM roleferry.outbox o ORDER BY o.id LIMIT 20")]


if __name__ == "__main__":
    sys.exit(main())
