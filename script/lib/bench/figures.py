"""The figures: what they are called and what they mean."""

RATE, COST = "rate", "cost"     # more is better; less is better

PEERS = ("graphile-worker", "pg-boss", "celery")


class Figure:
    """A number that is measured; aims are texts for the table."""

    def __init__(self, name, unit, kind, meaning, at_least="", aim="", digits=0):
        self.name = name
        self.unit = unit
        self.kind = kind
        self.meaning = meaning
        self.at_least = at_least
        self.aim = aim
        self.digits = digits

    def ratio(self, ours, peers):
        """Above 1: roleferry is ahead."""
        above, below = (ours, peers) if self.kind == RATE else (peers, ours)
        return above / below if below else float("inf")

    def text(self, value):
        return f"{value:.{self.digits}f}"


ALL = (
    Figure("drain_0ms", "jobs/s", RATE, "drain, provider answers at once, 64 in flight",
           "18 k and 1.3 × graphile-worker", "25 k"),
    Figure("drain_50ms_200", "jobs/s", RATE, "drain, provider takes 50 ms, 200 in flight", "3.7 k", ""),
    Figure("drain_50ms_400", "jobs/s", RATE, "the same, 400 in flight", "", "7.4 k"),
    Figure("cpu_s_per_1000", "s", COST, "CPU time of 1000 jobs of drain_0ms, sessions of the worker included",
           "", "0.04", 4),
    Figure("cpu_s_per_1000_50ms", "s", COST, "the same of drain_50ms_400", "", "0.06", 4),
    Figure("latency_idle_p50", "ms", COST, "commit to first byte at the provider, idle, median", "0.8", "0.6", 3),
    Figure("latency_100_p99", "ms", COST, "the same at 100 jobs/s, 99th percentile", "2.7", "1.5", 3),
    Figure("enqueue_1_per_tx", "jobs/s", RATE, "one mail a transaction, one session, dispatcher paused",
           "0.9 × plain_insert", "0.95 ×"),
    Figure("enqueue_bulk", "jobs/s", RATE, "enqueue_email() over a set, one transaction", "60 k", "100 k"),
    Figure("enqueue_live_drain_1", "jobs/s", RATE, "enqueue_1_per_tx during a drain, one session",
           "0.4 × plain_insert", ""),
    Figure("enqueue_live_drain_8", "jobs/s", RATE, "the same, eight sessions", "0.6 × plain_insert", ""),
    Figure("drain_held_snapshot", "jobs/s", RATE, "drain_0ms behind 500 k dead rows that a snapshot holds",
           "0.8 × drain_0ms", "0.9 ×"),
    Figure("wal_bytes_per_job", "bytes", COST, "WAL of claim and settlement, page images left out", "", ""),
    Figure("idle_wakeups", "1/s", COST, "voluntary context switches of an idle dispatcher", "", "", 1),
    Figure("idle_xids", "1/s", COST, "transaction ids used meanwhile", "0", "", 1),
    Figure("idle_wal_bytes", "bytes/s", COST, "WAL written meanwhile", "0", "", 1),
    Figure("worker_private_mb", "MB", COST, "RssAnon after 10 k jobs with 400 in flight", "16", "", 1),
    Figure("sync_call_1", "calls/s", RATE, "synchronous read-only calls, one session", "6.5 k", "9 k"),
    Figure("sync_call_8", "calls/s", RATE, "the same, eight sessions", "20 k", "30 k"),
    Figure("apollo_search_1", "searches/s", RATE,
           "apollo_search() for one person, never asked before, one session", "4 k", ""),
    Figure("apollo_search_8", "searches/s", RATE, "the same, eight sessions", "15 k", ""),
    Figure("sync_mail_1", "mails/s", RATE, "send_email(), one session", "2 k", "2.5 k"),
    Figure("sync_mail_8", "mails/s", RATE, "the same, eight sessions", "6 k", "7 k"),
    Figure("sync_call_during_drain_p99", "ms", COST, "a read-only call during drain_0ms, 99th percentile",
           "3", "", 3),
    Figure("webhook_hmac", "calls/s", RATE, "verify_signature() of Stripe, 2 KB, one session, beside pgcrypto's hmac()",
           "200 k", ""),
    Figure("webhook_ecdsa", "calls/s", RATE, "the same of SendGrid", "12 k", ""),
    Figure("webhook_events", "events/s", RATE, "webhook_receive() of 50 events of SendGrid, two sessions, events joined and recorded",
           "20 k", ""),
    Figure("webhook_post_p99", "ms", COST, "the same, 300 requests/s, 99th percentile", "50", "", 3),
    Figure("cpu_limits_on_off", "%", COST,
           "CPU time of drain_0ms with limits of four kinds and the breaker, more than without; at least ten pairs in turn",
           "5", "", 1),
    Figure("limiter_decision", "ns", COST, "a token of three windows taken and given back", "200", "", 1),
    Figure("breaker_decision", "ns", COST, "a circuit asked and told of the outcome", "200", "", 1),
    Figure("cpu_metrics_on_off", "%", COST,
           "CPU time of drain_0ms with DogStatsD and all numbers asked for each second, more than without; at least ten pairs in turn",
           "5", "", 1),
    Figure("sql_task_single", "tasks/s", RATE, "SQL tasks that return their argument, a transaction each",
           "", ""),
    Figure("sql_task_batch", "tasks/s", RATE, "the same, registered with batch => true", "", ""),
    Figure("cpu_order_on_off", "%", COST,
           "CPU time of drain_0ms with an order key for each four mails and priorities 0 to 10, more than without;"
           " at least ten pairs in turn",
           "10", "", 1),
)

BY_NAME = {figure.name: figure for figure in ALL}
