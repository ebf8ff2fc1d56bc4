/*-------------------------------------------------------------------------
 *
 * glob.h
 *	  Does a name match a pattern with asterisks?
 *
 * Pure logic: no PostgreSQL headers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_GLOB_H
#define ROLEFERRY_GLOB_H

#include <stdbool.h>

/* '*' stands for any number of bytes, dots included; nothing else is special. */
extern bool rf_glob_match(const char *pattern, const char *name);

#endif							/* ROLEFERRY_GLOB_H */
