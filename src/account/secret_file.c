/*-------------------------------------------------------------------------
 *
 * secret_file.c
 *	  Reading one secret's file, as safely as a key deserves.
 *
 * The text is read straight into anonymous pages that are left out of core
 * dumps: it is never on the stack, in stdio's buffers or in the heap.
 *
 * IDENTIFICATION
 *	  src/account/secret_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"

#include "account/secret.h"
#include "settings.h"
#include "account/secret_file.h"

#define FILE_MAX_BYTES		(64 * 1024)

/* Room for one byte too many, which tells that a file is too large. */
#define MAP_BYTES			(FILE_MAX_BYTES + 4096)

static int	open_at(int dir, const char *name, int flags);
static bool is_inside_data_directory(const char *directory);
static bool directory_is_safe(const struct stat *status, char *why);
static bool load_open_file(int fd, const char *name, RfSecretText *key,
						   RfSecretStamp *stamp, char *why);
static bool file_is_safe(const struct stat *status, const char *name,
						 char *why);
static bool read_text(int fd, const char *name, RfSecretText *key, char *why);
static bool text_is_sound(RfSecretText *key, const char *name, char *why);
static bool is_white_space(char c);
static bool allocate_text(RfSecretText *key, char *why);
static void take_stamp(const struct stat *status, RfSecretStamp *out);
static bool same_stamp(const RfSecretStamp *a, const RfSecretStamp *b);

/*
 * The server keeps files of its own open that it can open again: they are not
 * to be the reason why a key cannot be read.
 */
static int
open_at(int dir, const char *name, int flags)
{
	int			fd = openat(dir, name, O_RDONLY | O_CLOEXEC | flags);

	if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
		return fd;
	closeAllVfds();
	return openat(dir, name, O_RDONLY | O_CLOEXEC | flags);
}

int
rf_secret_directory_open(char *why)
{
	struct stat status;
	int			dir;

	if (rf_secrets_directory == NULL || rf_secrets_directory[0] == '\0')
	{
		rf_secret_say(why, "roleferry.secrets_directory is not set");
		return -1;
	}
	if (rf_secrets_directory[0] != '/')
	{
		rf_secret_say(why, "roleferry.secrets_directory is not an absolute path");
		return -1;
	}
	if (is_inside_data_directory(rf_secrets_directory))
	{
		rf_secret_say(why, "roleferry.secrets_directory is inside the data directory, whose copies must not have the keys");
		return -1;
	}

	dir = open_at(AT_FDCWD, rf_secrets_directory, O_DIRECTORY);
	if (dir < 0 || fstat(dir, &status) != 0)
		rf_secret_say(why, "could not open roleferry.secrets_directory: %m");
	else if (directory_is_safe(&status, why))
		return dir;
	if (dir >= 0)
		close(dir);
	return -1;
}

/* Neither setting changes while the server runs: found out once a process. */
static bool
is_inside_data_directory(const char *directory)
{
	static int	inside = -1;
	char		data[PATH_MAX];
	char		secrets[PATH_MAX];
	size_t		len;

	if (inside >= 0)
		return inside > 0;
	if (DataDir == NULL || realpath(DataDir, data) == NULL ||
		realpath(directory, secrets) == NULL)
		return false;			/* opening it will say what is wrong */
	len = strlen(data);
	inside = strncmp(secrets, data, len) == 0 &&
		(secrets[len] == '/' || secrets[len] == '\0');
	return inside > 0;
}

bool
rf_secret_file_load(int dir, const char *name, RfSecretText *key,
					RfSecretStamp *stamp, char *why)
{
	bool		loaded;
	int			fd;

	/* O_NONBLOCK: a FIFO in the file's place must not hold us up. */
	fd = open_at(dir, name, O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
	{
		if (errno == ELOOP)
			rf_secret_say(why, "secret file \"%s\" is a symbolic link", name);
		else if (errno == ENOENT)
			rf_secret_say(why, "secret file \"%s\" does not exist", name);
		else
			rf_secret_say(why, "could not open secret file \"%s\": %m", name);
		return false;
	}
	loaded = load_open_file(fd, name, key, stamp, why);
	close(fd);
	return loaded;
}

bool
rf_secret_file_is_same(int dir, const char *name, const RfSecretStamp *stamp)
{
	struct stat status;
	RfSecretStamp now;

	if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	take_stamp(&status, &now);
	return same_stamp(&now, stamp);
}

void
rf_secret_text_wipe(RfSecretText *key)
{
	if (key->data == NULL)
		return;
	explicit_bzero(key->data, key->used);
	munmap(key->data, MAP_BYTES);
	memset(key, 0, sizeof(*key));
}

void
rf_secret_say(char *why, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	(void) vsnprintf(why, RF_SECRET_WHY_MAX, format, args);
	va_end(args);
}

/*
 * Whoever may write here decides which of our files a name stands for: a hard
 * link to any private file of the server passes every other check.
 */
static bool
directory_is_safe(const struct stat *status, char *why)
{
	if (status->st_uid != geteuid() && status->st_uid != 0)
	{
		rf_secret_say(why, "roleferry.secrets_directory belongs to neither the server's user nor root");
		return false;
	}
	if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
	{
		rf_secret_say(why, "roleferry.secrets_directory has mode %04o: it must not be writable by others",
					  (unsigned int) (status->st_mode & 07777));
		return false;
	}
	return true;
}

/*
 * A file that is written while we read it could give half of a key: its status
 * must be the same before and after.
 */
static bool
load_open_file(int fd, const char *name, RfSecretText *key,
			   RfSecretStamp *stamp, char *why)
{
	struct stat status;
	RfSecretStamp after;

	if (fstat(fd, &status) != 0)
	{
		rf_secret_say(why, "could not stat secret file \"%s\": %m", name);
		return false;
	}
	if (!file_is_safe(&status, name, why) || !allocate_text(key, why) ||
		!read_text(fd, name, key, why))
		return false;
	take_stamp(&status, stamp);

	if (fstat(fd, &status) == 0)
	{
		take_stamp(&status, &after);
		if (same_stamp(stamp, &after))
			return text_is_sound(key, name, why);
	}
	rf_secret_say(why, "secret file \"%s\" changed while it was read", name);
	return false;
}

static bool
file_is_safe(const struct stat *status, const char *name, char *why)
{
	if (!S_ISREG(status->st_mode))
		rf_secret_say(why, "secret file \"%s\" is not a regular file", name);
	else if (status->st_uid != geteuid())
		rf_secret_say(why, "secret file \"%s\" does not belong to the server's user", name);
	else if ((status->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		rf_secret_say(why, "secret file \"%s\" has mode %04o: it must not be readable by others",
					  name, (unsigned int) (status->st_mode & 07777));
	else if (status->st_size > FILE_MAX_BYTES)
		rf_secret_say(why, "secret file \"%s\" is larger than 64 kB", name);
	else
		return true;
	return false;
}

/* The whole file into key->data. */
static bool
read_text(int fd, const char *name, RfSecretText *key, char *why)
{
	while (key->used <= FILE_MAX_BYTES)
	{
		ssize_t		got = read(fd, key->data + key->used,
							   FILE_MAX_BYTES + 1 - key->used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
		{
			rf_secret_say(why, "could not read secret file \"%s\": %m", name);
			return false;
		}
		if (got == 0)
			return true;
		key->used += (size_t) got;
	}
	rf_secret_say(why, "secret file \"%s\" is larger than 64 kB", name);
	return false;
}

/*
 * Trims trailing white space.  What is left becomes part of a header line, so
 * a control character in it would be another header.
 */
static bool
text_is_sound(RfSecretText *key, const char *name, char *why)
{
	key->len = key->used;
	while (key->len > 0 && is_white_space(key->data[key->len - 1]))
		key->len--;
	key->data[key->len] = '\0';

	if (key->len == 0)
	{
		rf_secret_say(why, "secret file \"%s\" is empty", name);
		return false;
	}
	for (size_t i = 0; i < key->len; i++)
	{
		unsigned char c = (unsigned char) key->data[i];

		if (c == '\n' || c == '\r')
		{
			rf_secret_say(why, "secret file \"%s\" holds more than one line", name);
			return false;
		}
		if (c < 0x20 || c == 0x7f)
		{
			rf_secret_say(why, "secret file \"%s\" holds a control character", name);
			return false;
		}
	}
	return true;
}

static bool
is_white_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
allocate_text(RfSecretText *key, char *why)
{
	void	   *pages = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE,
							 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
	{
		rf_secret_say(why, "out of memory");
		return false;
	}
#ifdef MADV_DONTDUMP
	/* A kernel that cannot leaves us no worse off than without. */
	(void) madvise(pages, MAP_BYTES, MADV_DONTDUMP);
#endif
	key->data = pages;
	key->len = 0;
	key->used = 0;
	return true;
}

static void
take_stamp(const struct stat *status, RfSecretStamp *out)
{
	out->device = status->st_dev;
	out->inode = status->st_ino;
	out->size = status->st_size;
	out->modified = status->st_mtim;
	out->changed = status->st_ctim;
}

static bool
same_stamp(const RfSecretStamp *a, const RfSecretStamp *b)
{
	return a->device == b->device && a->inode == b->inode &&
		a->size == b->size &&
		a->modified.tv_sec == b->modified.tv_sec &&
		a->modified.tv_nsec == b->modified.tv_nsec &&
		a->changed.tv_sec == b->changed.tv_sec &&
		a->changed.tv_nsec == b->changed.tv_nsec;
}
