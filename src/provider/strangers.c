/*-------------------------------------------------------------------------
 *
 * strangers.c
 *	  Who of a page works at the firm that was asked for?
 *
 * The rest of people.h.  A provider that ignores the domain answers with a
 * sample of everybody, and status 200; so each person's organisation is compared
 * with the domain.  Searches often give its name only, and names are no proof:
 * "Alphabet" is right for google.com.
 *
 * IDENTIFICATION
 *	  src/provider/strangers.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "codec/text.h"

#include "provider/people.h"

/* No employer has so many people: with more in all, the domain was ignored. */
#define MAX_EMPLOYEES		5000000

/* Shorter ones are contained in too many names. */
#define MIN_NAME_LEN		3

#define MAX_SQUEEZED		256

static bool is_same_domain(const char *a, size_t a_len, RfText b);
static bool is_below(const char *domain, size_t len, const char *parent,
					 size_t parent_len);
static RfText find_label(RfText domain);
static size_t squeeze(const char *text, size_t len, char *out);
static bool names_domain(const char *name, RfText domain);
static bool share_one_name(const RfPeoplePage *page, RfText domain);
static bool is_stranger(const RfPerson *person, RfText domain, bool any_known,
						bool drop_unknown);

RfWorksAt
rf_person_works_at(const RfPerson *person, RfText domain)
{
	const char *at;

	if (person->organization_domain != NULL)
		return is_same_domain(person->organization_domain,
							  strlen(person->organization_domain), domain) ?
			RF_WORKS_THERE : RF_WORKS_ELSEWHERE;
	at = person->email != NULL ? strrchr(person->email, '@') : NULL;
	if (at != NULL && is_same_domain(at + 1, strlen(at + 1), domain))
		return RF_WORKS_THERE;
	if (person->organization_name != NULL &&
		names_domain(person->organization_name, domain))
		return RF_WORKS_THERE;
	return RF_WORKS_UNKNOWN;
}

void
rf_people_drop_strangers(RfPeoplePage *page, RfText domain)
{
	bool		any_known = false;
	bool		too_many = page->total > MAX_EMPLOYEES;
	bool		drop_unknown;
	size_t		kept = 0;

	for (size_t i = 0; i < page->npeople && !any_known; i++)
		any_known = rf_person_works_at(&page->people[i], domain) == RF_WORKS_THERE;
	drop_unknown = too_many || (!any_known && !share_one_name(page, domain));

	for (size_t i = 0; i < page->npeople; i++)
	{
		RfPerson   *person = &page->people[i];

		if (is_stranger(person, domain, any_known, drop_unknown))
		{
			rf_person_free(person);
			page->dropped++;
			continue;
		}
		page->people[kept++] = *person;
	}
	if (page->npeople > 0 && (too_many || kept == 0))
		page->filters_ignored = true;
	page->npeople = kept;
}

static bool
is_stranger(const RfPerson *person, RfText domain, bool any_known,
			bool drop_unknown)
{
	switch (rf_person_works_at(person, domain))
	{
		case RF_WORKS_THERE:
			return false;
		case RF_WORKS_ELSEWHERE:
			return true;
		case RF_WORKS_UNKNOWN:
			return drop_unknown ||
				(any_known && person->organization_name != NULL);
	}
	return true;				/* keep compiler quiet */
}

/* The same, or one below the other: eu.acme.com is acme.com. */
static bool
is_same_domain(const char *a, size_t a_len, RfText b)
{
	return (a_len == b.len && rf_text_same_nocase(a, b.data, a_len)) ||
		is_below(a, a_len, b.data, b.len) || is_below(b.data, b.len, a, a_len);
}

static bool
is_below(const char *domain, size_t len, const char *parent, size_t parent_len)
{
	return parent_len > 0 && len > parent_len + 1 &&
		memchr(parent, '.', parent_len) != NULL &&
		domain[len - parent_len - 1] == '.' &&
		rf_text_same_nocase(domain + len - parent_len, parent, parent_len);
}

/* The label that a firm chose: the longest but for the last. */
static RfText
find_label(RfText domain)
{
	RfText		best = {NULL, 0};
	size_t		start = 0;

	for (size_t i = 0; i < domain.len; i++)
	{
		if (domain.data[i] != '.')
			continue;
		if (i - start > best.len)
		{
			best.data = domain.data + start;
			best.len = i - start;
		}
		start = i + 1;
	}
	return best;
}

/* Letters and digits only, in lower case; cut at MAX_SQUEEZED. */
static size_t
squeeze(const char *text, size_t len, char *out)
{
	size_t		out_len = 0;

	for (size_t i = 0; i < len && out_len < MAX_SQUEEZED; i++)
	{
		char		c = text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char) (c + 'a' - 'A');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[out_len++] = c;
	}
	return out_len;
}

/* "Acme, Inc." and acme.com; "IBM" and ibm.com; one begins with the other. */
static bool
names_domain(const char *name, RfText domain)
{
	char		squeezed_name[MAX_SQUEEZED];
	char		squeezed_label[MAX_SQUEEZED];
	RfText		label = find_label(domain);
	size_t		name_len = squeeze(name, strlen(name), squeezed_name);
	size_t		label_len = squeeze(label.data, label.len, squeezed_label);
	size_t		shorter = name_len < label_len ? name_len : label_len;

	if (shorter == 0 || (shorter < MIN_NAME_LEN && name_len != label_len))
		return false;
	return memcmp(squeezed_name, squeezed_label, shorter) == 0;
}

/* Do those that nobody knows about name one organisation only? */
static bool
share_one_name(const RfPeoplePage *page, RfText domain)
{
	const char *first = NULL;

	for (size_t i = 0; i < page->npeople; i++)
	{
		const char *name = page->people[i].organization_name;

		if (name == NULL ||
			rf_person_works_at(&page->people[i], domain) != RF_WORKS_UNKNOWN)
			continue;
		if (first == NULL)
			first = name;
		else if (strcmp(first, name) != 0)
			return false;
	}
	return true;
}
