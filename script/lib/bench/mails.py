"""The mails that everybody sends: a request of 2 KB each, of words that differ.

As a row they stay just below the size from which PostgreSQL compresses, with
everybody: otherwise a byte more or less would decide what is measured.
"""

import random

FROM = "team@mg.example.com"
BODIES = 1000
REQUEST_BYTES = 2048

# What our request to SendGrid holds besides the text, headers included.
FRAME_BYTES = 360

WORDS = ("account agenda answer attach become before budget calendar campaign change colleague company "
         "contact contract customer decide deliver demand detail develop discuss effort enough example "
         "expect figure finance follow forward friday growth happen improve include increase interest "
         "invite journey language launch machine manage market meeting member message minute monday "
         "office option outreach partner people perhaps planning please position possible prepare "
         "present price problem process product project proposal provide purpose quarter question "
         "receive recent regards remember report request research response result review schedule "
         "service several shortly simple solution someone special standard strategy success suggest "
         "support system target thanks thursday together tomorrow understand update value week").split()


def bodies():
    """The same thousand texts each time."""
    source = random.Random(2048)
    return [body(source) for _ in range(BODIES)]


def body(source):
    """Paragraphs that a request is filled up with."""
    text = "<p>"
    while len(text) < REQUEST_BYTES - FRAME_BYTES:
        text += source.choice(WORDS) + source.choice((" ", " ", " ", " ", ", ", ".</p><p>"))
    return text[:REQUEST_BYTES - FRAME_BYTES - 4].rsplit("<", 1)[0] + "</p>"
