"""The people whom the simulated providers know: a function of domain and number.

A domain has 25 people.  One whose first label is `p` and a number, such as
p250.example.com, has that many; p0.example.com has nobody.  Of each ten, the
eighth has an e-mail that is not verified, the ninth is not found by an
enrichment, and the tenth has no e-mail.
"""

import hashlib
import re

DEFAULT_COUNT = 25
SIZED = re.compile(r"p(\d{1,6})\.")
FIRST = ("Ann", "Bob", "Cy", "Dee", "Eve", "Fay", "Gus", "Hal", "Ida", "Jon")
LAST = ("Archer", "Baker", "Cooper", "Dyer", "Fisher", "Glover", "Hunter", "Mason", "Potter",
        "Smith", "Tyler")
TITLES = (("CTO", "c_suite"), ("VP Engineering", "vp"), ("Head of Sales", "head"),
          ("Engineering Manager", "manager"), ("CEO", "c_suite"), ("Recruiter", "entry"),
          ("Sales Director", "director"))
LOCATIONS = ("Berlin, Germany", "Paris, France", "Austin, Texas, United States")


class Person:
    """One of them; number counts from 1."""

    def __init__(self, domain, number, firm=None):
        self.domain = domain
        self.number = number
        self.firm = firm or firm_of(domain)
        text = f"{domain}/{number}"
        self.id = hashlib.sha1(text.encode()).hexdigest()[:24]
        self.first = FIRST[number % len(FIRST)]
        self.last = LAST[number % len(LAST)]
        self.title, self.seniority = TITLES[number % len(TITLES)]
        self.location = LOCATIONS[number % len(LOCATIONS)]
        self.status = "unverified" if number % 10 == 8 else "verified"
        self.is_missed = number % 10 == 9
        self.email = (None if number % 10 == 0
                      else f"{self.first}.{self.last}.{number}@{domain}".lower())

    @property
    def linkedin(self):
        return f"http://www.linkedin.com/in/{self.first}-{self.last}-{self.id[:6]}".lower()

    def fits(self, titles, seniorities, locations):
        """No filter of a kind lets everybody through."""
        return (_has_any(self.title, titles) and _has_any(self.location, locations) and
                (not seniorities or self.seniority in seniorities))


def _has_any(text, words):
    return not words or any(re.search(rf"\b{re.escape(word)}\b", text, re.I) for word in words)


def firm_of(domain):
    label = max(domain.split(".")[:-1] or [domain], key=len)
    return label.capitalize()


def staff(domain):
    """Everybody of a domain.  Each fifth person of mixed.* works elsewhere."""
    match = SIZED.match(domain)
    count = int(match.group(1)) if match else DEFAULT_COUNT
    people = [Person(domain, number) for number in range(1, count + 1)]
    if domain.startswith("mixed."):
        for person in people[4::5]:
            person.firm = "Stranger Works"
    return people


def strangers(count=100):
    """Whom a provider shows when it did not understand the filter."""
    return [Person(f"firm{number}.example", number, f"Random Firm {number}")
            for number in range(1, count + 1)]
