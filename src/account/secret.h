/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Keys from files in roleferry.secrets_directory.
 *
 * A secret is one file, named by the account's option "secret": owned by the
 * server's user, mode 0600 or stricter, no symbolic link, at most 64 KB, one
 * line (trailing white space is not part of it).  The text lives in memory
 * excluded from core dumps and is wiped when replaced.  Never raises;
 * needs no transaction; never puts a secret in *why.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SECRET_H
#define ROLEFERRY_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define RF_SECRET_WHY_MAX 255

typedef struct RfSecret RfSecret;

/*
 * The secret of that name.  At most a second after the file changed (device,
 * inode, size, mtime or ctime), and when reread is set, it is read again.
 * NULL: see why, one line such as: secret file "sendgrid" has mode 0644: it
 * must not be readable by others.
 * The result is valid until the next call for the same name.
 */
extern const RfSecret *rf_secret_get(const char *name, bool reread,
									 char why[RF_SECRET_WHY_MAX]);

extern const char *rf_secret_text(const RfSecret *secret);
extern size_t rf_secret_len(const RfSecret *secret);

/* Changes with the text: as long as the version is the same, the text is. */
extern unsigned long rf_secret_version(const RfSecret *secret);

/* Checks the file without keeping anything: for views that ask "is it ready?" */
extern bool rf_secret_check(const char *name, char why[RF_SECRET_WHY_MAX]);

/* Letters, digits, '_', '-', '.', not starting with a dot, up to 63 bytes. */
extern bool rf_secret_name_is_valid(const char *name);

#endif							/* ROLEFERRY_SECRET_H */
