"""The demo's judgement: demo_report.py CLUSTER-DIRECTORY PROVIDERS-DIRECTORY.

Joins what the providers wrote into their journal with what the database says,
by the number of the lead that each mail carries.  Ends with the line

    demo: N enqueued, A accepted, U unknown, L lost, D duplicated

and with status 1 when a mail was lost or duplicated.
"""

import collections
import sys

from demo_world import Database, Providers

# The truth of the business: who was contacted, by committed transactions.
CONTACTED = """
SELECT l.id, j.state, j.reason, extract(epoch FROM j.created_at)
  FROM app.lead l LEFT JOIN roleferry.jobs j ON j.id = l.mail_job
 WHERE l.stage = 'contacted'"""
UNFINISHED = ("", "waiting", "running")

Lead = collections.namedtuple("Lead", "state reason enqueued_at")
Totals = collections.namedtuple("Totals", "enqueued accepted unknown refused lost duplicated")


def read_leads(database):
    """lead -> what the database says about its mail."""
    return {int(lead): Lead(state, reason, float(enqueued_at) if enqueued_at else None)
            for lead, state, reason, enqueued_at in database.rows(CONTACTED)}


def read_accepted(journal):
    """lead -> [(provider, time)] of every acceptance."""
    accepted = collections.defaultdict(list)
    for line in journal:
        if line["phase"] == "accepted" and "lead" in (line.get("custom_args") or {}):
            accepted[int(line["custom_args"]["lead"])].append((line["provider"], line["t"]))
    return accepted


def judge(leads, accepted):
    """Every committed mail is exactly one of accepted, unknown, refused and lost."""
    taken = sum(1 for lead in leads if lead in accepted)
    left = [mail for lead, mail in leads.items() if lead not in accepted]
    unknown = sum(1 for mail in left if mail.state == "unknown")
    refused = sum(1 for mail in left
                  if mail.state not in UNFINISHED + ("unknown", "sent") and mail.reason)
    duplicated = sum(1 for lead, times in accepted.items()
                     if len(times) > 1 or lead not in leads)
    return Totals(len(leads), taken, unknown, refused,
                  len(left) - unknown - refused, duplicated)


def percentile(samples, fraction):
    if not samples:
        return "-"
    ordered = sorted(samples)
    return f"{ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]:.0f}"


def print_providers(journal, leads, accepted):
    """A line for each provider that was asked anything."""
    requests = collections.Counter(line["provider"] for line in journal
                                   if line["phase"] == "headers")
    waits = collections.defaultdict(list)
    for lead, times in accepted.items():
        for provider, accepted_at in times:
            if lead in leads and leads[lead].enqueued_at is not None:
                waits[provider].append(1000 * (accepted_at - leads[lead].enqueued_at))
    counts = collections.Counter(provider for times in accepted.values()
                                 for provider, _ in times)
    print("\nprovider    requests  accepted   p50 ms   p99 ms   (from the change of a lead "
          "to the mail's acceptance)")
    for provider in sorted(requests, reverse=True):
        print(f"{provider:<10}  {requests[provider]:>8}  {counts[provider]:>8}  "
              f"{percentile(waits[provider], 0.5):>7}  {percentile(waits[provider], 0.99):>7}")


def print_unknown(leads, accepted, totals):
    doubtful = sum(1 for lead, mail in leads.items()
                   if mail.state == "unknown" and lead in accepted)
    print(f"\nThe database calls {doubtful + totals.unknown} mails unknown: neither an answer nor an "
          "event proves whether they were taken, so they are not sent again. The providers' journal "
          f"knows: {doubtful} of the {totals.accepted} accepted mails are among them, and "
          f"{totals.unknown} that were not accepted. A person settles them with "
          "roleferry.settle().")
    if totals.refused:
        print(f"{totals.refused} mails were given up, with the reason recorded.")


def main():
    journal = Providers(sys.argv[2]).journal()
    leads = read_leads(Database(sys.argv[1]))
    accepted = read_accepted(journal)
    totals = judge(leads, accepted)
    print_providers(journal, leads, accepted)
    print_unknown(leads, accepted, totals)
    print(f"demo: {totals.enqueued} enqueued, {totals.accepted} accepted, "
          f"{totals.unknown} unknown, {totals.lost} lost, {totals.duplicated} duplicated")
    return 1 if totals.lost or totals.duplicated else 0


if __name__ == "__main__":
    sys.exit(main())
