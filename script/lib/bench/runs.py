"""How each group of figures is measured, once: functions that return {figure: value}."""

import re
import subprocess
import time

import mails
from world import DATABASE, WORKSPACE, Wrong, percentile, status_value

SEND_EMAIL = ("SELECT * FROM roleferry.send_email(from_addr => '{sender}',"
              " to_addr => 'ada@example.net', subject => 'Hello', accounts => ARRAY['mock_0'],"
              " body_html => '{html}');")


class Bench:
    """The runs, and how much they do."""

    def __init__(self, server, provider, ours, quick):
        self.server = server
        self.provider = provider
        self.ours = ours
        self.quick = quick
        self.timelines = {}         # of the last drain of each kind, for the picture
        self.request_bytes = {}     # of each who sends
        self.fastest = 0

    def amount(self, full, quick):
        return quick if self.quick else full

    # Drains

    def drain(self, who, delay, in_flight, names):
        """The first tenth is not counted: connections, plans and compilers are warm then."""
        jobs = int((self.amount(100000, 20000) if delay == 0 else self.amount(40000, 10000)) * who.share)
        who.clear()
        who.fill(jobs, delay)
        self.server.quiet()
        self.provider.reset()
        who.start(in_flight, delay)
        rate, cpu = self.count(who, jobs // 10, jobs)
        who.finish()
        self.provider.check(jobs)
        who.stop()
        return dict(zip(names, (rate, cpu)))

    def count(self, who, warm, jobs):
        """Mails a second and CPU s per 1000 mails, from the one to the other."""
        first = self.provider.wait(warm, who)
        pids = who.pids()
        cpu = who.cpu(pids)
        middle = self.provider.stats()
        last = self.provider.wait(jobs, who)
        cpu = who.cpu(pids) - cpu
        self.request_bytes[who.name] = last["bytes"] / last["requests"]
        rate = (last["distinct"] - first["distinct"]) * 1e6 / (last["last_us"] - first["last_us"])
        self.fastest = max(self.fastest, rate)
        return rate, cpu * 1000 / (last["distinct"] - middle["distinct"])

    def drain_held(self, who):
        """The whole backlog drains under one snapshot; only the end, behind the dead rows, counts."""
        dead = self.amount(500000, 100000)
        jobs = dead + self.amount(100000, 20000)
        who.clear()
        who.fill(jobs, 0)
        self.server.quiet()
        self.provider.reset()
        with Snapshot(self.server):
            who.start(64, 0)
            rate, _ = self.count(who, dead, jobs)
            who.finish()
            self.provider.check(jobs)
        self.timelines[who.name] = self.provider.timeline()
        who.stop()
        return {"drain_held_snapshot": rate}

    def watch_held(self, who, seconds):
        """What a drain under a snapshot looks like, for the picture; nobody waits for its end."""
        who.clear()
        who.fill(300000, 0)
        self.server.quiet()
        self.provider.reset()
        with Snapshot(self.server, who.database):
            who.start(64, 0)
            self.provider.wait(1, who)
            time.sleep(seconds)
            self.timelines[who.name] = self.provider.timeline()
            who.stop()

    def wal(self, who):
        """Of the drain alone; page images depend on the last checkpoint and are left out."""
        jobs = self.amount(50000, 10000)
        who.clear()
        who.fill(jobs, 0)
        self.server.quiet()
        self.provider.reset()
        start = self.server.wal_position()
        who.start(64, 0)
        self.provider.wait(jobs, who)
        who.finish()
        self.provider.check(jobs)
        end = self.server.wal_position()
        who.stop()
        return {"wal_bytes_per_job": record_bytes(self.server, start, end) / jobs}

    def memory(self, who):
        """A worker that has just started, after 10 k jobs."""
        jobs = 10000
        who.clear()
        if who is self.ours:
            who.restart()
        who.fill(jobs, 50)
        self.provider.reset()
        who.start(400, 50)
        self.provider.wait(jobs, who)
        result = {"worker_private_mb": who.private_mb()}
        who.finish()
        self.provider.check(jobs)
        who.stop()
        return result

    # Latency

    def latency(self, who, rate, jobs, name, share):
        """From the commit's answer at the client to the first byte at the provider."""
        who.clear()
        self.server.quiet()
        who.start(64, 0)
        who.ready()
        self.warm(who)
        self.provider.reset()
        committed = who.paced(rate, jobs)
        self.provider.wait(jobs, who)
        arrived = self.provider.arrivals()
        self.provider.check(jobs)
        who.stop()
        return {name: percentile([arrived[n] - at for n, at in committed.items()], share) / 1000}

    def warm(self, who):
        self.provider.reset()
        committed = who.paced(100, 100)
        self.provider.wait(len(committed), who)

    # Enqueueing

    def enqueue(self, sql, clients):
        """One mail a transaction while nothing is sent."""
        self.ours.clear()
        self.server.sql("TRUNCATE bench.plain")
        self.server.quiet()
        return self.ours.pgbench(sql, clients, self.amount(10, 4))

    def enqueue_peer(self, who):
        who.clear()
        self.server.quiet()
        return who.enqueue_rate(self.amount(10, 4))

    def enqueue_bulk(self):
        jobs = self.amount(100000, 30000)
        self.ours.clear()
        self.server.quiet()
        started = time.monotonic()
        self.ours.fill(jobs, 0, vacuum=False)
        return {"enqueue_bulk": jobs / (time.monotonic() - started)}

    def enqueue_live(self, clients):
        """While mails of a backlog that outlasts it are sent."""
        seconds = self.amount(8, 4)
        self.ours.clear()
        self.ours.fill(seconds * 35000, 0)
        self.server.quiet()
        self.provider.reset()
        self.ours.start(64, 0)
        self.provider.wait(1000, self.ours)
        rate = self.ours.pgbench(self.ours.enqueue_sql(), clients, seconds)
        if self.server.sql("SELECT EXISTS (SELECT FROM roleferry.outbox)") != "t":
            raise Wrong("the backlog was sent before the time was over")
        self.ours.stop()
        return {f"enqueue_live_drain_{clients}": rate}

    # Idleness

    def idle(self):
        seconds = self.amount(30, 10)
        self.ours.clear()
        self.ours.start(64, 0)
        self.ours.ready()
        self.server.quiet()
        time.sleep(20)              # what the background writer has to say after a checkpoint
        pid = self.ours.pid()
        before = self.idle_counters(pid)
        time.sleep(seconds)
        after = self.idle_counters(pid)
        self.ours.stop()
        return {name: (after[name] - before[name]) / seconds for name in after}

    def idle_counters(self, pid):
        xid, wal = self.server.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text,"
                                   " pg_current_wal_insert_lsn() - '0/0'").split("|")
        return {"idle_wakeups": status_value(pid, "voluntary_ctxt_switches"),
                "idle_xids": int(xid), "idle_wal_bytes": int(wal)}

    # Synchronous calls

    def sync_mail(self, clients):
        self.prepare_calls()
        rate = self.ours.pgbench(self.mail_sql(), clients, self.amount(10, 4))
        self.ours.finish()
        self.provider.check(self.server.number("SELECT count(*) FROM roleferry.message"))
        self.ours.stop()
        return {f"sync_mail_{clients}": rate}

    def sync_call(self, sql, clients):
        self.prepare_calls()
        rate = self.ours.pgbench(sql, clients, self.amount(10, 4), cache=False)
        self.ours.stop()
        return {f"sync_call_{clients}": rate}

    def apollo_search(self, sql, clients):
        self.prepare_calls()
        self.server.sql("TRUNCATE roleferry.search_cache")
        rate = self.ours.pgbench(sql, clients, self.amount(10, 4))
        self.ours.stop()
        if self.server.number("SELECT count(*) FROM roleferry.search_cache") < rate:
            raise Wrong("the cache of searches was not written")
        return {f"apollo_search_{clients}": rate}

    def sync_call_during_drain(self, sql):
        seconds = self.amount(8, 4)
        self.ours.clear()
        self.ours.fill(seconds * 35000, 0)
        self.server.quiet()
        self.provider.reset()
        self.ours.start(64, 0)
        self.provider.wait(1000, self.ours)
        log = WORKSPACE / "calls"
        self.ours.pgbench(sql, 1, seconds, log, cache=False)
        self.ours.stop()
        took = []
        for file in WORKSPACE.glob("calls.*"):
            took += [int(line.split()[2]) for line in file.read_text(encoding="ascii").splitlines()]
            file.unlink()
        return {"sync_call_during_drain_p99": percentile(took, 0.99) / 1000}

    def prepare_calls(self):
        self.ours.clear()
        self.server.quiet()
        self.provider.reset()
        self.ours.start(64, 0)
        self.ours.ready()
        time.sleep(1.5)             # the dispatcher looks at its activation once a second

    def mail_sql(self):
        return SEND_EMAIL.format(sender=mails.FROM, html=mails.bodies()[2])

    # The provider alone

    def capacity(self):
        """Requests a second, the best of three."""
        best = 0
        for _ in range(3):
            self.provider.reset()
            done = subprocess.run([str(WORKSPACE / "programs" / "load"), str(self.provider.ports[0]), "64",
                                   str(self.amount(500000, 200000))], capture_output=True, text=True, check=True)
            best = max(best, float(done.stdout))
        self.provider.reset()
        return best


class Snapshot:
    """A session that holds a snapshot, as a long report does."""

    def __init__(self, server, database=DATABASE):
        self.server = server
        self.database = database
        self.session = None

    def __enter__(self):
        self.session = subprocess.Popen(self.server.command(self.database), stdin=subprocess.PIPE, text=True)
        self.session.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class \\g /dev/null\n")
        self.session.stdin.flush()
        self.server.until("EXISTS (SELECT FROM pg_stat_activity WHERE backend_xmin IS NOT NULL"
                          " AND state = 'idle in transaction')", 10, self.database)

    def __exit__(self, *_):
        self.session.stdin.close()
        self.session.wait()


def record_bytes(server, start, end):
    """Of all WAL records between two positions, without the page images in them."""
    done = subprocess.run(["pg_waldump", "--stats", f"--start={start}", f"--end={end}",
                           f"--path={server.directory}/data/pg_wal"], capture_output=True, text=True, check=False)
    total = re.search(r"^Total\s+\d+\s+(\d+)", done.stdout, re.M)
    if total is None:
        raise Wrong("pg_waldump: " + done.stderr.strip()[-300:])
    return int(total.group(1))
