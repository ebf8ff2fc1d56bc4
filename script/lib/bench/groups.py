"""Which runs make which figures, and who takes part in them."""

from hooks import Hooks
from limits import Limits
from metrics import Metrics
from queues import Order, Tasks

# Nobody asked that before: no two are one request, and the cache, where it is
# on, is looked into in vain and written.
SEARCH = ("\\set n random(1, 1000000000)\n"
          "SELECT * FROM roleferry.apollo_search(domain => 'example.com', titles => ARRAY['CTO', 't' || :n],"
          " max_results => 1, enrich => false, account => 'people');")


class Group:
    """Figures that come out of the same runs; contestants are (who, run) pairs."""

    def __init__(self, figures, contestants, missing=None, runs=0):
        self.figures = figures
        self.contestants = contestants
        self.missing = missing          # why it cannot be measured yet
        self.runs = runs                # at least so many


def drains(bench, everybody):
    for names, delay, in_flight in ((("drain_0ms", "cpu_s_per_1000"), 0, 64),
                                    (("drain_50ms_200",), 50, 200),
                                    (("drain_50ms_400", "cpu_s_per_1000_50ms"), 50, 400)):
        yield Group(names, [(who.name, lambda w=who, d=delay, i=in_flight, n=names: bench.drain(w, d, i, n))
                            for who in everybody])


def latencies(bench, everybody):
    for name, rate, full, quick, share in (("latency_idle_p50", 10, 200, 60, 0.5),
                                           ("latency_100_p99", 100, 2000, 600, 0.99)):
        jobs = bench.amount(full, quick)
        yield Group((name,), [(who.name, lambda w=who, r=rate, j=jobs, n=name, s=share: bench.latency(w, r, j, n, s))
                              for who in everybody])


def enqueues(bench, ours, peers):
    plain = ours.make_plain_table()
    mail = ours.enqueue_sql()
    yield Group(("enqueue_1_per_tx",),
                [("roleferry", lambda: {"enqueue_1_per_tx": bench.enqueue(mail, 1)}),
                 ("plain_insert", lambda: {"enqueue_1_per_tx": bench.enqueue(plain, 1)})] +
                [(who.name, lambda w=who: {"enqueue_1_per_tx": bench.enqueue_peer(w)}) for who in peers])
    for clients in (1, 8):
        name = f"enqueue_live_drain_{clients}"
        yield Group((name,),
                    [("roleferry", lambda c=clients: bench.enqueue_live(c)),
                     ("plain_insert", lambda c=clients, n=name: {n: bench.enqueue(plain, c)})])
    yield Group(("enqueue_bulk",), [("roleferry", bench.enqueue_bulk)])


def calls(bench, ours, callers):
    missing = None if ours.has_function("apollo_search") else "no read-only call yet"
    for clients in (1, 8):
        yield Group((f"sync_call_{clients}",),
                    [("roleferry", lambda c=clients: bench.sync_call(SEARCH, c))] +
                    [(who.name, lambda w=who, c=clients: bench.sync_call(w.search(), c)) for who in callers], missing)
    for clients in (1, 8):
        yield Group((f"apollo_search_{clients}",),
                    [("roleferry", lambda c=clients: bench.apollo_search(SEARCH, c))], missing)
    yield Group(("sync_call_during_drain_p99",),
                [("roleferry", lambda: bench.sync_call_during_drain(SEARCH))], missing)
    missing = None if ours.has_function("send_email") else "no send_email() yet"
    for clients in (1, 8):
        yield Group((f"sync_mail_{clients}",), [("roleferry", lambda c=clients: bench.sync_mail(c))], missing)


def webhooks(bench, ours):
    hooks = Hooks(ours.server, bench)
    yield Group(("webhook_hmac",), [("roleferry", hooks.hmac), ("pgcrypto", hooks.hmac_pgcrypto)])
    yield Group(("webhook_ecdsa",), [("roleferry", hooks.ecdsa)])
    yield Group(("webhook_events",), [("roleferry", hooks.events)])
    yield Group(("webhook_post_p99",), [("roleferry", hooks.post_p99)])


def limits(bench):
    costs = Limits(bench)
    yield Group(("cpu_limits_on_off",), [("roleferry", costs.on_off)], runs=10)
    yield Group(("limiter_decision", "breaker_decision"), [("roleferry", costs.decisions)])


def watching(bench):
    costs = Metrics(bench)
    yield Group(("cpu_metrics_on_off",), [("roleferry", costs.on_off)], runs=10)


def queues(bench, ours, peers):
    """A peer's task that does nothing stands beside both kinds of ours."""
    tasks = Tasks(bench)
    both = ("sql_task_single", "sql_task_batch")
    yield Group(both,
                [("roleferry", lambda: tasks.run(ours, both[:1], "bench.single")),
                 ("roleferry", lambda: tasks.run(ours, both[1:], "bench.batch"))] +
                [(who.name, lambda w=who: tasks.run(w, both)) for who in peers if hasattr(who, "fill_noops")])
    yield Group(("cpu_order_on_off",), [("roleferry", Order(bench).on_off)], runs=10)


def all_groups(bench, ours, peers, callers):
    everybody = [ours, *peers]
    yield from drains(bench, everybody)
    yield from latencies(bench, everybody)
    yield from enqueues(bench, ours, peers)
    yield Group(("drain_held_snapshot",),
                [("roleferry", lambda: bench.drain_held(ours)),
                 ("drain_0ms", lambda: {"drain_held_snapshot": bench.drain(ours, 0, 64, ("rate",))["rate"]})])
    yield Group(("wal_bytes_per_job",), [("roleferry", lambda: bench.wal(ours))])
    yield Group(("idle_wakeups", "idle_xids", "idle_wal_bytes"), [("roleferry", bench.idle)])
    yield Group(("worker_private_mb",), [(who.name, lambda w=who: bench.memory(w)) for who in everybody])
    yield from calls(bench, ours, callers)
    yield from webhooks(bench, ours)
    yield from limits(bench)
    yield from watching(bench)
    yield from queues(bench, ours, peers)
