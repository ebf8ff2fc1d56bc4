"""When everything is well again: what a long run must not have left behind, or go on to take."""

import os
import time

from client import Session

ROUNDS = 6
MAILS = 400
GROWTH_KB = 1024                    # of private memory, from the third round to the last
PRIVATE_KB = 16 * 1024
DESCRIPTORS = 250
TABLE_BYTES = 1 << 20
XMIN_AGE = 10_000


def status_kb(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))


def process_of(database, kind):
    return database.value(f"SELECT pid FROM pg_stat_activity WHERE backend_type = '{kind}'")


def one_round(session, first, database):
    """As many mails and tasks as fill every structure, and until they have ended."""
    last = first + MAILS - 1
    session.run(f"BEGIN; INSERT INTO soak.mail SELECT n, 'once', soak.enqueue(n, 'once')"
                f" FROM generate_series({first}, {last}) n; COMMIT;")
    session.run(f"BEGIN; INSERT INTO soak.task SELECT n, 'soak.work' FROM generate_series({first}, {last}) n;"
                f" SELECT count(roleferry.enqueue('soak.work', jsonb_build_object('n', n)))"
                f" FROM generate_series({first}, {last}) n; COMMIT;")
    deadline = time.monotonic() + 120
    while database.value("SELECT count(*) FROM roleferry.outbox") != "0":
        if time.monotonic() > deadline:
            raise TimeoutError("a quiet round does not end")
        time.sleep(0.1)


def quiet_checks(database, check):
    """Flat private memory and descriptors, a table as small as before, and nobody who holds an old snapshot."""
    pid = process_of(database, "roleferry dispatcher")
    session = Session(database.directory)
    backend = session.backend()
    ours, theirs, files = [], [], []
    for number in range(ROUNDS):
        one_round(session, number * MAILS + 1, database)
        ours.append(status_kb(pid, "RssAnon"))
        theirs.append(status_kb(backend, "RssAnon"))
        files.append(len(os.listdir(f"/proc/{pid}/fd")))
    session.close()

    check(process_of(database, "roleferry dispatcher") == pid, "the dispatcher lives on when nothing goes wrong")
    check(ours[-1] - ours[2] < GROWTH_KB and ours[-1] < PRIVATE_KB, "the dispatcher's private memory is flat", [f"{ours} kB"])
    check(theirs[-1] - theirs[2] < GROWTH_KB, "so is that of a session that enqueues", [f"{theirs} kB"])
    check(files[-1] <= files[2] + 2 and files[-1] < DESCRIPTORS, "its descriptors do not grow in number", [f"{files}"])
    check_storage(database, check)


def check_storage(database, check):
    """Vacuum can take everything back, because nobody holds what is old."""
    oldest = database.rows(
        "SELECT backend_type, age(coalesce(backend_xmin, backend_xid)) FROM pg_stat_activity"
        f" WHERE backend_type LIKE 'roleferry%' AND age(coalesce(backend_xmin, backend_xid)) > {XMIN_AGE}"
        " UNION ALL SELECT 'prepared ' || gid, age(transaction) FROM pg_prepared_xacts")
    check(not oldest, "no process of roleferry's holds an old snapshot", [" ".join(row) for row in oldest])
    size = TABLE_BYTES
    for _ in range(20):             # vacuum gives the file's end back only where nobody wants the table
        database.rows("VACUUM roleferry.outbox")
        size = int(database.value("SELECT pg_relation_size('roleferry.outbox')"))
        if size < TABLE_BYTES:
            break
        time.sleep(0.2)
    indexes = int(database.value("SELECT pg_indexes_size('roleferry.outbox')"))
    check(size < TABLE_BYTES, "an empty outbox is small", [f"{size} bytes, indexes {indexes}"])
