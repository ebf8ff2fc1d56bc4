"""What the queue itself takes: tasks that do nothing, order and priorities."""

# Tasks a second, from when the first tenth is done until none is left.  It looks at
# one row by its index, and holds no snapshot while it sleeps.
COUNT = """
DO $$
DECLARE
    mark constant bigint := (SELECT id FROM {queue} ORDER BY id OFFSET {warm} LIMIT 1);
    deadline constant timestamptz := clock_timestamp() + interval '5 minutes';
    started timestamptz;
    waiting bigint;
BEGIN
    WHILE EXISTS (SELECT FROM {queue} WHERE id = mark) AND clock_timestamp() < deadline LOOP
        COMMIT;
        PERFORM pg_sleep(0.005);
    END LOOP;
    started := clock_timestamp();
    SELECT count(*) INTO waiting FROM {queue};
    WHILE (SELECT max(id) FROM {queue}) IS NOT NULL LOOP
        IF clock_timestamp() > deadline THEN
            RAISE EXCEPTION 'tasks are left after five minutes';
        END IF;
        COMMIT;
        PERFORM pg_sleep(0.005);
    END LOOP;
    PERFORM set_config('bench.rate', (waiting / extract(epoch FROM clock_timestamp() - started))::text, false);
END $$;
SELECT current_setting('bench.rate')
"""

# A key's mails are of one priority and further apart than what is in flight: the
# drain never pauses for a key, and what is measured is the keeping of the order.
ORDERED = ", order_key => 'lead ' || n % ({jobs} / 4), priority => n % ({jobs} / 4) % 11"


class Tasks:
    """SQL tasks, and a peer's tasks, that do nothing."""

    def __init__(self, bench):
        self.bench = bench

    def run(self, who, names, task=None):
        """Counted in the table: the tasks themselves leave no other trace that all have."""
        jobs = self.bench.amount(100000, 20000)
        who.clear()
        who.fill_noops(jobs, task)
        self.bench.server.quiet()
        who.start(64, 0)
        rate = self.bench.server.number(COUNT.format(queue=who.queue, warm=jobs // 10), who.database)
        who.stop()
        who.check_noops(jobs)
        return dict.fromkeys(names, rate)


class Order:
    """The same drain with order keys and priorities and without."""

    def __init__(self, bench):
        self.bench = bench
        self.turn = 0

    def on_off(self):
        """A pair: which comes first changes, so that what drifts cancels out."""
        self.turn += 1
        ours = self.bench.ours
        cost = {}
        for on in (True, False) if self.turn % 2 else (False, True):
            ours.more = ORDERED.format(jobs=self.bench.amount(100000, 20000)) if on else ""
            try:
                cost[on] = self.bench.drain(ours, 0, 64, ("rate", "cpu"))["cpu"]
            finally:
                ours.more = ""
        return {"cpu_order_on_off": (cost[True] / cost[False] - 1) * 100}
