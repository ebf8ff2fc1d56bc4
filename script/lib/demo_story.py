"""The demo's story: demo_story.py CLUSTER-DIRECTORY PROVIDERS-DIRECTORY.

An ordinary day of an outreach team, with more bad luck than a year has.
demo_report.py judges afterwards what came of it.
"""

import collections
import json
import os
import signal
import sys
import time

from demo_world import Database, DatabaseDown, Providers

PATIENCE_SECONDS = 30               # for a wave, and after the last fault
PROGRESS_SECONDS = 1
COOLDOWN_SECONDS = 2                # roleferry.breaker_cooldown of the demo

CONTACT = "UPDATE app.lead SET stage = 'contacted' WHERE id BETWEEN {} AND {}"
# Whom the team does not know yet: found, and joined by a list of doubtful origin.
FIND = """
INSERT INTO app.lead (id, name, email)
    SELECT 1000 + row_number() OVER (), name, email
      FROM roleferry.apollo_search(domain => 'p60.example.com', titles => ARRAY['CTO', 'CEO', 'Engineering', 'Sales'],
                                   max_results => 60)
     WHERE email IS NOT NULL
    RETURNING id"""
IMPORT = """
INSERT INTO app.lead (id, name, email)
    SELECT 2000 + n, 'Import ' || n, kind || n || '@p60.example.com'
      FROM unnest('{invalid,catchall,disposable,unknown,bought}'::text[]) WITH ORDINALITY AS list (kind, n)"""
VERIFY = """
UPDATE app.lead AS l SET verdict = v.status
  FROM roleferry.verify_emails(ARRAY(SELECT email FROM app.lead WHERE id > 1000)) AS v
 WHERE l.id > 1000 AND v.email = l.email"""
VERDICTS = "SELECT verdict, count(*) FROM app.lead WHERE id > 1000 GROUP BY 1 ORDER BY 2 DESC, 1"
CONTACT_VALID = "UPDATE app.lead SET stage = 'contacted' WHERE id > 1000 AND verdict = 'valid'"
PROGRESS = """
SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'running'),
       count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'unknown'),
       count(*) FILTER (WHERE state NOT IN ('waiting', 'running', 'sent', 'unknown'))
  FROM roleferry.jobs WHERE task = 'send_email'"""
RECEIVE = "SELECT status FROM roleferry.webhook_receive('{}', '{}', decode('{}', 'base64'));\n"
LIVES = "SELECT state, count(*) FROM roleferry.messages GROUP BY 1 ORDER BY 2 DESC, 1"
UNKNOWN = "SELECT count(*) FROM roleferry.unknown_sends"
AGAIN = """
UPDATE app.lead SET stage = 'new' WHERE id IN (7, 17);
UPDATE app.lead SET stage = 'contacted' WHERE id IN (7, 17)"""
SUPPRESSED = """
SELECT count(*) FROM app.lead l JOIN roleferry.jobs j ON j.id = l.mail_job
 WHERE l.id IN (7, 17) AND j.state = 'suppressed'"""
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

    def new_people(self):
        chapter("People of a firm are searched for at Apollo, which is free, and their addresses paid for, "
                "ten at once. Five more come from a list that somebody bought.")
        found = self.database.rows(FIND, role="app")
        self.database.rows(IMPORT, role="app")
        say(f"  {len(found)} people with an address, 5 from the list; "
            f"Apollo charged {self.credits('apollo')} credits.")
        chapter("NeverBounce verifies all of them, as one job; the statement waits for it.")
        self.database.rows(VERIFY, role="app")
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in self.database.rows(VERDICTS))
        say(f"  {verdicts}; NeverBounce charged {self.credits('neverbounce')} credits.")
        self.database.rows(VERIFY, role="app")
        say(f"  Asked again, the verdicts are remembered: still {self.credits('neverbounce')} credits.")
        chapter("Only the valid ones are contacted.")
        self.database.rows(CONTACT_VALID, role="app")
        self.wait_until_sent()

    def credits(self, provider):
        return sum(line.get("credits") or 0 for line in self.providers.journal()
                   if line["phase"] == "accepted" and line["provider"] == provider)

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


    def what_became_of_them(self):
        chapter("The providers report by webhook, signed, and each request comes twice. Two mails have "
                "bounced; answers that were lost are made good by the events of their mails.")
        # They may still be at what the dispatcher had sent when it died.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.providers.are_busy() and time.monotonic() < deadline:
            time.sleep(0.1)
        before = self.database.value(UNKNOWN)
        for provider, key in self.providers.event_keys().items():
            write_secret(self.database, "hook_" + provider, key)
        answers = collections.Counter()
        for provider in ("sendgrid", "mailgun"):
            requests = self.providers.events(provider, [{"to": "^lead1?7@", "words": ["bounced"]}])
            script = "".join(RECEIVE.format(provider, json.dumps(request["headers"]).replace("'", "''"),
                                            request["body"]) for request in requests)
            answers.update(self.database.script(script + script, role="front"))
        say("  Events: " + ", ".join(f"{count} {word}" for word, count in sorted(answers.items())) + ".")
        say("  Mails: " + ", ".join(f"{count} {state}" for state, count in self.database.rows(LIVES)) +
            f"; {before} were unknown, {self.database.value(UNKNOWN)} still are.")
        chapter("The two that bounced are contacted again: their addresses are suppressed by now.")
        self.database.rows(AGAIN, role="app")
        self.wait_until_sent()
        say(f"  {self.database.value(SUPPRESSED)} of 2 mails end as suppressed.")


def write_secret(database, name, key):
    path = os.path.join(os.path.dirname(database.directory), "secrets", name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write(key)


def show_progress(counts):
    if counts is None:
        say("  (the server is restarting)")
        return
    names = ("waiting", "in flight", "sent", "unknown", "given up")
    say("  " + ", ".join(f"{count} {name}" for count, name in zip(counts, names)
                         if count or name == "sent"))


def main():
    story = Story(Database(sys.argv[1]), Providers(sys.argv[2]))
    story.new_people()
    story.a_good_morning()
    story.a_change_of_mind()
    story.nobody_at_the_door()
    story.too_many_requests()
    story.broken_answers()
    story.recovery()
    story.sudden_death()
    story.what_became_of_them()


if __name__ == "__main__":
    main()
