/*-------------------------------------------------------------------------
 *
 * shortage.h
 *	  Is this process short of descriptors or memory?
 *
 * A transfer that fails for that says nothing about its host.  libcurl often
 * does not say why it failed, so it is found out afterwards.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HTTP_SHORTAGE_H
#define ROLEFERRY_HTTP_SHORTAGE_H

#include <stdbool.h>

extern const char rf_shortage_of_descriptors[];
extern const char rf_shortage_of_memory[];

/* Is this new descriptor one of those that are left to the rest of the process? */
extern bool rf_shortage_is_spare(int fd);

/* NULL, or one of the two texts.  fd: any descriptor that is open. */
extern const char *rf_shortage_now(int fd);

#endif							/* ROLEFERRY_HTTP_SHORTAGE_H */
