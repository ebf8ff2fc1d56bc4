"""The demo's story: demo_story.py CLUSTER-DIRECTORY PROVIDERS-DIRECTORY.

An ordinary day of an outreach team, with more bad luck than a year has.
demo_report.py judges afterwards what came of it.
"""

import os
import signal
import sys
import time

from demo_world import Database, DatabaseDown, Providers

PATIENCE_SECONDS = 30               # for a wave, and after the last fault
PROGRESS_SECONDS = 1
COOLDOWN_SECONDS = 2                # roleferry.breaker_cooldown of the demo

CONTACT = "UPDATE app.lead SET stage = 'contacted' WHERE id BETWEEN {} AND {}"
PROGRESS = """
SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'running'),
       count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'unknown'),
       count(*) FILTER (WHERE state NOT IN ('waiting', 'running', 'sent', 'unknown'))
  FROM roleferry.jobs"""
DISPATCHER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'roleferry dispatcher'"


def say(text):
    print(text, flush=True)


def chapter(text):
    say("\n" + text)


class Story:
    """The steps, in order; each leaves the world in peace again."""

    def __init__(self, database, providers):
        self.database = database
        self.providers = providers
        self.next_lead = 1

    def contact(self, count):
        """Change leads, which mails them; returns after the commit."""
        first, self.next_lead = self.next_lead, self.next_lead + count
        self.database.rows(CONTACT.format(first, self.next_lead - 1), role="app")

    def progress(self):
        """(waiting, running, ...) as numbers, or None while the server restarts."""
        try:
            return [int(count) for count in self.database.rows(PROGRESS)[0]]
        except DatabaseDown:
            return None

    def wait_for(self, condition):
        """Show progress until the condition holds for it; False when patience ends."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        shown_at = time.monotonic()
        while True:
            counts = self.progress()
            done = counts is not None and condition(*counts)
            if done or time.monotonic() - shown_at >= PROGRESS_SECONDS:
                show_progress(counts)
                shown_at = time.monotonic()
            if done or time.monotonic() > deadline:
                return done
            time.sleep(0.05)

    def wait_until_sent(self):
        if not self.wait_for(lambda waiting, running, *_: waiting + running == 0):
            say(f"  Not all gone after {PATIENCE_SECONDS} s.")

    def a_good_morning(self):
        chapter("150 leads are contacted. A trigger queues one mail each, in the transaction that "
                "changes the lead.")
        self.contact(150)
        self.wait_until_sent()

    def a_change_of_mind(self):
        chapter("50 leads are contacted, and the transaction is rolled back: no mail.")
        first, last = self.next_lead, self.next_lead + 49
        self.database.rows(f"BEGIN; {CONTACT.format(first, last)}; ROLLBACK", role="app")
        self.next_lead = last + 1

    def nobody_at_the_door(self):
        chapter("SendGrid refuses connections. 150 leads are contacted; Mailgun takes their mails.")
        self.providers.refuse_connections("sendgrid")
        self.contact(150)
        self.wait_until_sent()
        self.providers.accept_connections("sendgrid")
        time.sleep(COOLDOWN_SECONDS)

    def too_many_requests(self):
        chapter("SendGrid is back and throttles (429, retry after a second). 100 leads; "
                "the mails need not wait for it.")
        self.providers.misbehave("sendgrid", {"status": 429, "headers": {"Retry-After": "1"}})
        self.contact(100)
        self.wait_until_sent()
        self.providers.behave()
        time.sleep(COOLDOWN_SECONDS)

    def broken_answers(self):
        chapter("SendGrid answers 500, and has taken every second of those mails all the same. "
                "Nobody can know which: the first few become unknown, are not sent again, and "
                "the circuit opens. The rest of 150 mails goes to Mailgun.")
        self.providers.misbehave("sendgrid", {"status": 500, "accept": True}, every=2)
        self.providers.misbehave("sendgrid", {"status": 500})
        self.contact(150)
        self.wait_until_sent()
        self.providers.behave()

    def recovery(self):
        chapter("SendGrid recovers. After a pause one mail probes it, then it takes its share again.")
        time.sleep(COOLDOWN_SECONDS + 0.5)
        self.contact(100)
        self.wait_until_sent()

    def sudden_death(self):
        chapter("200 leads, and both providers take their time.")
        self.providers.misbehave(None, {"delay": 0.5})
        self.contact(200)
        self.wait_for(lambda waiting, running, *_: running >= 8 and waiting <= 150)
        pid = int(self.database.value(DISPATCHER))
        say(f"  kill -9 {pid}: roleferry's dispatcher dies with mails in flight, and PostgreSQL "
            "restarts all its processes.")
        os.kill(pid, signal.SIGKILL)
        self.providers.behave()
        self.wait_for_another_dispatcher(pid)
        say("  A new dispatcher is there. What was in flight is unknown now, and is not sent again.")
        self.wait_until_sent()

    def wait_for_another_dispatcher(self, old):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                pid = self.database.value(DISPATCHER)
                if pid is not None and int(pid) != old:
                    return
            except DatabaseDown:
                pass
            time.sleep(0.1)
        say(f"  No new dispatcher after {PATIENCE_SECONDS} s.")


def show_progress(counts):
    if counts is None:
        say("  (the server is restarting)")
        return
    names = ("waiting", "in flight", "sent", "unknown", "given up")
    say("  " + ", ".join(f"{count} {name}" for count, name in zip(counts, names)
                         if count or name == "sent"))


def main():
    story = Story(Database(sys.argv[1]), Providers(sys.argv[2]))
    story.a_good_morning()
    story.a_change_of_mind()
    story.nobody_at_the_door()
    story.too_many_requests()
    story.broken_answers()
    story.recovery()
    story.sudden_death()


if __name__ == "__main__":
    main()
