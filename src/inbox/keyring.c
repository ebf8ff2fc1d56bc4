/*-------------------------------------------------------------------------
 *
 * keyring.c
 *	  Parsed keys, kept by this process as long as they are in use.
 *
 * A few places, the one unused for longest is given to the next key.  A text
 * that is no key is remembered as well, or whoever gives a wrong one would be
 * served slowest.
 *
 * IDENTIFICATION
 *	  src/inbox/keyring.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "inbox/keyring.h"

#define PLACES 32

typedef struct Place
{
	RfScheme	scheme;
	char	   *secret;			/* malloc'd; NULL: the place is free */
	size_t		len;
	RfKey	   *key;			/* NULL: the text is no key */
	uint64		used;			/* higher: more recently */
} Place;

static Place places[PLACES];
static uint64 uses = 0;

static Place *find_place(RfScheme scheme, const char *secret, size_t len);
static Place *empty_place(void);

const RfKey *
rf_keyring_get(RfScheme scheme, const char *secret, size_t len)
{
	Place	   *place = find_place(scheme, secret, len);

	if (place == NULL)
	{
		char	   *copy = malloc(len + 1);

		if (copy == NULL)
			return NULL;
		memcpy(copy, secret, len);
		place = empty_place();
		place->scheme = scheme;
		place->secret = copy;
		place->len = len;
		place->key = rf_key_make(scheme, secret, len);
	}
	place->used = ++uses;
	return place->key;
}

static Place *
find_place(RfScheme scheme, const char *secret, size_t len)
{
	for (int i = 0; i < PLACES; i++)
	{
		Place	   *place = &places[i];

		if (place->secret != NULL && place->scheme == scheme && place->len == len &&
			memcmp(place->secret, secret, len) == 0)
			return place;
	}
	return NULL;
}

static Place *
empty_place(void)
{
	Place	   *oldest = &places[0];

	for (int i = 1; i < PLACES; i++)
	{
		if (places[i].used < oldest->used)
			oldest = &places[i];
	}
	rf_key_free(oldest->key);
	if (oldest->secret != NULL)
	{
		explicit_bzero(oldest->secret, oldest->len);
		free(oldest->secret);
	}
	memset(oldest, 0, sizeof(*oldest));
	return oldest;
}
