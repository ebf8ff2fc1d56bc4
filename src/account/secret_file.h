/*-------------------------------------------------------------------------
 *
 * secret_file.h
 *	  Reading one secret's file, as safely as a key deserves.
 *
 * Private to secret.c.  Never raises.  why: room for RF_SECRET_WHY_MAX bytes,
 * one line, never anything of the file's content.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SECRET_FILE_H
#define ROLEFERRY_SECRET_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

/* Text in pages of its own, outside core dumps; data NULL: none. */
typedef struct RfSecretText
{
	char	   *data;			/* NUL-terminated at len */
	size_t		len;
	size_t		used;			/* bytes that were read and must be wiped */
} RfSecretText;

/* What tells one content of a file from the next. */
typedef struct RfSecretStamp
{
	dev_t		device;
	ino_t		inode;
	off_t		size;
	struct timespec modified;
	struct timespec changed;
} RfSecretStamp;

/* The secrets directory's descriptor, or -1 and why. */
extern int	rf_secret_directory_open(char *why);

/*
 * The file's text and stamp.  False: see why; the text must be wiped in either
 * case.
 */
extern bool rf_secret_file_load(int dir, const char *name, RfSecretText *key,
								RfSecretStamp *stamp, char *why);

/* Does the file still have this stamp? */
extern bool rf_secret_file_is_same(int dir, const char *name,
								   const RfSecretStamp *stamp);

/* Overwrites and gives back the pages; harmless without any. */
extern void rf_secret_text_wipe(RfSecretText *key);

/* Writes why; the format knows %m. */
extern void rf_secret_say(char *why, const char *format,...)
			pg_attribute_printf(2, 3);

#endif							/* ROLEFERRY_SECRET_FILE_H */
