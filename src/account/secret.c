/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Keys from files in roleferry.secrets_directory.
 *
 * Every process keeps what it read, by name, until the file changes; names
 * are few and never forgotten, texts are wiped as soon as their file is gone
 * or no longer fit to be read.  A look at the directory and at the file's
 * status (four system calls, no read) is good for a second, since it would
 * otherwise be made for every mail: a new key is taken within that time, and a
 * removed one is not used any longer.
 *
 * IDENTIFICATION
 *	  src/account/secret.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>
#include <unistd.h>

#include "account/secret_file.h"
#include "account/secret.h"

#define NAME_MAX_BYTES		63

/* A file that changed this recently may change again within one time stamp. */
#define SETTLE_SECONDS		2

/* A look at the file is good for this long. */
#define LOOK_NS				INT64CONST(1000000000)

struct RfSecret
{
	struct RfSecret *next;
	char		name[NAME_MAX_BYTES + 1];
	RfSecretStamp stamp;
	bool		settled;		/* the stamp can be trusted */
	RfSecretText text;
	unsigned long version;
	int64		looked_ns;		/* monotonic clock; 0: never */
};

static RfSecret *secrets = NULL;
static unsigned long last_version = 0;

static RfSecret *find_secret(const char *name);
static RfSecret *add_secret(const char *name);
static int64 now_ns(void);
static bool is_current(const RfSecret *secret, int dir);
static bool replace_text(RfSecret *secret, int dir, char *why);
static bool is_settled(const RfSecretStamp *stamp);

const RfSecret *
rf_secret_get(const char *name, bool reread, char why[RF_SECRET_WHY_MAX])
{
	RfSecret   *secret;
	int			dir;
	bool		ready;

	why[0] = '\0';
	if (!rf_secret_name_is_valid(name))
	{
		rf_secret_say(why, "the secret's name is not a valid file name");
		return NULL;
	}

	secret = find_secret(name);
	if (secret == NULL)
		secret = add_secret(name);
	if (secret == NULL)
	{
		rf_secret_say(why, "out of memory");
		return NULL;
	}

	if (!reread && secret->text.data != NULL &&
		now_ns() - secret->looked_ns < LOOK_NS)
		return secret;

	secret->looked_ns = now_ns();
	dir = rf_secret_directory_open(why);
	if (dir < 0)
	{
		rf_secret_text_wipe(&secret->text);
		return NULL;
	}
	ready = (!reread && is_current(secret, dir)) ||
		replace_text(secret, dir, why);
	close(dir);
	return ready ? secret : NULL;
}

const char *
rf_secret_text(const RfSecret *secret)
{
	return secret->text.data;
}

size_t
rf_secret_len(const RfSecret *secret)
{
	return secret->text.len;
}

unsigned long
rf_secret_version(const RfSecret *secret)
{
	return secret->version;
}

bool
rf_secret_check(const char *name, char why[RF_SECRET_WHY_MAX])
{
	RfSecretText key = {0};
	RfSecretStamp stamp;
	bool		ready;
	int			dir;

	why[0] = '\0';
	if (!rf_secret_name_is_valid(name))
	{
		rf_secret_say(why, "the secret's name is not a valid file name");
		return false;
	}

	dir = rf_secret_directory_open(why);
	if (dir < 0)
		return false;
	ready = rf_secret_file_load(dir, name, &key, &stamp, why);
	close(dir);
	rf_secret_text_wipe(&key);
	return ready;
}

bool
rf_secret_name_is_valid(const char *name)
{
	size_t		len = strspn(name,
							 "abcdefghijklmnopqrstuvwxyz"
							 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");

	return len > 0 && len <= NAME_MAX_BYTES && name[len] == '\0' &&
		name[0] != '.';
}

static RfSecret *
find_secret(const char *name)
{
	for (RfSecret *secret = secrets; secret != NULL; secret = secret->next)
	{
		if (strcmp(secret->name, name) == 0)
			return secret;
	}
	return NULL;
}

/* malloc: this must work, and fail, without raising. */
static RfSecret *
add_secret(const char *name)
{
	RfSecret   *secret = calloc(1, sizeof(RfSecret));

	if (secret == NULL)
		return NULL;
	strlcpy(secret->name, name, sizeof(secret->name));
	secret->next = secrets;
	secrets = secret;
	return secret;
}

/* To the clock's tick: that is exact enough, and cheaper. */
static int64
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64) now.tv_sec * INT64CONST(1000000000) + now.tv_nsec;
}

/* Is the text we hold still what the file says? */
static bool
is_current(const RfSecret *secret, int dir)
{
	return secret->text.data != NULL && secret->settled &&
		rf_secret_file_is_same(dir, secret->name, &secret->stamp);
}

/*
 * Reads the file.  A text that is byte for byte the old one keeps its version;
 * on failure nothing is kept.
 */
static bool
replace_text(RfSecret *secret, int dir, char *why)
{
	RfSecretText fresh = {0};
	RfSecretStamp stamp;

	if (!rf_secret_file_load(dir, secret->name, &fresh, &stamp, why))
	{
		rf_secret_text_wipe(&fresh);
		rf_secret_text_wipe(&secret->text);
		return false;
	}

	if (secret->text.data == NULL || secret->text.len != fresh.len ||
		memcmp(secret->text.data, fresh.data, fresh.len) != 0)
		secret->version = ++last_version;
	rf_secret_text_wipe(&secret->text);
	secret->text = fresh;
	secret->stamp = stamp;
	secret->settled = is_settled(&stamp);
	return true;
}

/*
 * Two writes within the file system's clock tick leave the same time stamps.
 * Until the last one is older than any tick, the file is read every time.
 */
static bool
is_settled(const RfSecretStamp *stamp)
{
	return time(NULL) - stamp->changed.tv_sec > SETTLE_SECONDS;
}
