/*-------------------------------------------------------------------------
 *
 * journal.c
 *	  What the bench's provider has taken, and when.
 *
 * Numbers are job ids: they begin anywhere, but lie close together.  The table
 * of arrivals begins at the lowest thousand seen first; a number outside of its
 * range counts as unnamed, which no run may have.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "provider.h"

/* Address space, not memory: pages come when they are written. */
#define NUMBERS ((uint64_t) 1 << 26)
#define BELOW ((uint64_t) 1 << 22)

/* Slots of the timeline: ten minutes in hundredths of a second. */
#define SLOT_US 10000
#define SLOTS 60000

Journal		journal;

static int64_t *arrivals;		/* by number - base; 0: not yet */
static uint64_t base;
static uint32_t timeline[SLOTS];	/* requests, by time since the first */

static void note_number(uint64_t number, int64_t at_us);

void
journal_reset(void)
{
	memset(&journal, 0, sizeof(journal));
	memset(timeline, 0, sizeof(timeline));
	if (arrivals != NULL)
		munmap(arrivals, NUMBERS * sizeof(int64_t));
	arrivals = mmap(NULL, NUMBERS * sizeof(int64_t), PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arrivals == MAP_FAILED)
		die("mmap");
}

void
journal_take(const char *request, size_t length, int64_t at_us)
{
	int64_t		slot;

	if (journal.requests++ == 0)
		journal.first_us = at_us;
	journal.last_us = at_us;
	journal.bytes += length;
	slot = (at_us - journal.first_us) / SLOT_US;
	if (slot >= 0 && slot < SLOTS)
		timeline[slot]++;

	switch (request_kind(request))
	{
		case REQUEST_MAIL:
			note_number(request_number(request, length), at_us);
			break;
		case REQUEST_SEARCH:
			journal.searches++;
			break;
		case REQUEST_STRANGE:
			journal.refused++;
			break;
	}
}

static void
note_number(uint64_t number, int64_t at_us)
{
	if (journal.distinct == 0)
		base = number > BELOW ? number - BELOW : 0;
	if (number == UNNAMED || number < base || number - base >= NUMBERS)
	{
		journal.unnamed++;
		return;
	}
	if (arrivals[number - base] != 0)
	{
		journal.duplicates++;
		return;
	}
	arrivals[number - base] = at_us;
	journal.distinct++;
}

void
journal_refuse(void)
{
	journal.refused++;
}

void
journal_print_arrivals(FILE *out)
{
	uint64_t	left = journal.distinct;

	for (uint64_t i = 0; left > 0; i++)
	{
		if (arrivals[i] == 0)
			continue;
		fprintf(out, "%llu %lld\n", (unsigned long long) (base + i),
				(long long) arrivals[i]);
		left--;
	}
}

/* Milliseconds since the first request, and how many came in that slot. */
void
journal_print_timeline(FILE *out)
{
	int64_t		slots = (journal.last_us - journal.first_us) / SLOT_US + 1;

	for (int64_t i = 0; journal.requests > 0 && i < slots && i < SLOTS; i++)
		fprintf(out, "%lld %u\n", (long long) (i * SLOT_US / 1000), timeline[i]);
}
