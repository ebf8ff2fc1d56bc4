"""What the providers' journal says, against what the clients know."""

import collections
import json

# The journal writes its members in this order: lines of no interest are not decoded.
ACCEPTED = ('"phase":"accepted"', '"phase": "accepted"')
STATES = """
SELECT m.subject, 'sent' FROM roleferry.message m
UNION ALL SELECT d.args ->> 'subject', d.state FROM roleferry.dead_letter d WHERE d.task = 'send_email'
UNION ALL SELECT o.args ->> 'subject', 'waiting' FROM roleferry.outbox o WHERE o.task = 'send_email'"""
TASKS = """
SELECT t.n, t.kind, (SELECT count(*) FROM soak.effect e WHERE e.n = t.n), coalesce(d.state, ''), coalesce(d.reason, '')
  FROM soak.task t
  LEFT JOIN roleferry.dead_letter d ON d.task = t.kind AND (d.args ->> 'n')::bigint = t.n"""


def read_accepted(providers):
    """number -> how often a provider took the mail"""
    providers.call("GET", "/stats")
    accepted = collections.Counter()
    with open(providers.info["journal"], encoding="ascii") as file:
        for line in file:
            if any(mark in line[:80] for mark in ACCEPTED):
                number = (json.loads(line).get("custom_args") or {}).get("n")
                if number is not None:
                    accepted[int(number)] += 1
    return accepted


def read_states(database):
    """number -> the states that its mail has: more than one is wrong"""
    states = collections.defaultdict(list)
    for subject, state in database.rows(STATES):
        if subject.startswith("mail "):
            states[int(subject[5:])].append(state)
    return states


class Told:
    """What all clients were told, together."""

    def __init__(self, clients):
        self.committed = set().union(*(client.committed for client in clients))
        self.rolled_back = set().union(*(client.rolled_back for client in clients))
        self.cancelled = set().union(*(client.cancelled for client in clients))
        self.calls = {number: status for client in clients for number, status in client.calls.items()}


def judge_mails(kinds, told, accepted, states):
    """Three lists of complaints, and counts: (lost, duplicated, phantom, wrong, counter)."""
    lost, duplicated, phantom, wrong = [], [], [], []
    counts = collections.Counter()
    for number, kind in kinds.items():
        state = states.get(number, [])
        times = accepted.get(number, 0)
        counts["accepted"] += times > 0
        counts["unknown"] += times == 0 and state == ["unknown"]
        if len(state) > 1 or (times > 1 and kind == "once"):
            duplicated.append(f"mail {number} ({kind}) was accepted {times} times, and is {state}")
        elif not state or state == ["waiting"] or (state == ["sent"] and times == 0):
            lost.append(f"mail {number} ({kind}) was accepted {times} times, and is {state}")
        elif times and kind == "once" and state[0] not in ("sent", "unknown"):
            wrong.append(f"mail {number} was accepted, and is {state}")
        if number in told.cancelled and (times or state != ["cancelled"]):
            wrong.append(f"mail {number} was cancelled in time, was accepted {times} times, and is {state}")
        if times == 0 and state != ["unknown"]:
            counts[" ".join(state)] += 1
    for number, times in accepted.items():
        if number in told.calls:
            if times > 1:
                duplicated.append(f"the mail of call {number} was accepted {times} times")
        elif number not in kinds:
            phantom.append(f"mail {number} was accepted {times} times, and was not committed"
                           + (" (rolled back)" if number in told.rolled_back else ""))
    for number, status in told.calls.items():
        if status == "sent" and accepted.get(number, 0) != 1:
            lost.append(f"call {number} was told that its mail is sent; it was accepted {accepted.get(number, 0)} times")
    return lost, duplicated, phantom, wrong, counts


def judge_tasks(database, told):
    """lost, duplicated, phantom, and the numbers of all that were committed"""
    lost, duplicated, known = [], [], set()
    for number, kind, effects, state, reason in database.rows(TASKS):
        known.add(int(number))
        if int(effects) > 1 or (int(effects) == 1 and state):
            duplicated.append(f"task {number} ({kind}) had its effect {effects} times, and is {state} ({reason})")
        elif effects == "0" and state != "quarantined":
            lost.append(f"task {number} ({kind}) had no effect, and is {state or 'nowhere'} ({reason})")
    phantom = [f"task {number} had its effect, and was not committed" for number, in
               database.rows("SELECT DISTINCT n FROM soak.effect") if int(number) not in known]
    return lost, duplicated, phantom, known


def judge(database, providers, clients, check):
    """The last line of the soak; the checks that it rests on."""
    accepted = read_accepted(providers)
    told = Told(clients)
    kinds = {int(number): kind for number, kind in database.rows("SELECT n, kind FROM soak.mail")}
    lost, duplicated, phantom, wrong, counts = judge_mails(kinds, told, accepted, read_states(database))
    task_lost, task_duplicated, task_phantom, tasks = judge_tasks(database, told)

    forgotten = [f"{number} was committed, the server said, and is not there"
                 for number in sorted(told.committed - set(kinds) - tasks)]
    undead = [f"{number} was rolled back, the server said, and is there"
              for number in sorted(told.rolled_back & (set(kinds) | tasks))]
    check(not forgotten and not undead, "what the server told its clients holds", forgotten + undead)
    lost, duplicated, phantom = lost + task_lost, duplicated + task_duplicated, phantom + task_phantom
    check(not lost, "nothing is lost", lost)
    check(not duplicated, "nothing is duplicated", duplicated)
    check(not phantom, "nothing is made up", phantom)
    check(not wrong, "no state contradicts a provider", wrong)
    check(len(kinds) > 0 and counts["accepted"] > len(kinds) / 2, "most mails arrive all the same",
          [f"{counts['accepted']} of {len(kinds)}"])

    others = ", ".join(f"{number} {state}" for state, number in sorted(counts.items())
                       if state not in ("accepted", "unknown"))
    print(f"# {len(tasks)} tasks, {len(told.calls)} calls; not accepted: {others or 'none else'}")
    return (f"soak: {len(kinds) + len(tasks)} committed, {counts['accepted']} accepted, {counts['unknown']} unknown, "
            f"{len(lost)} lost, {len(duplicated)} duplicated, {len(phantom)} phantom")
