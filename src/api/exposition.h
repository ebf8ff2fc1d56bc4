/*-------------------------------------------------------------------------
 *
 * exposition.h
 *	  Prometheus' text format.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EXPOSITION_H
#define ROLEFERRY_EXPOSITION_H

#include "lib/stringinfo.h"

/* Before the samples of a metric. */
extern void rf_exposition_head(StringInfo out, const char *name, const char *type,
							   const char *help);

/* One label; the caller has written the brace, and closes it. */
extern void rf_exposition_label(StringInfo out, const char *name, const char *value);

/* metrics_jobs.c: jobs by what became of them, queues, events, workers */
extern void rf_exposition_jobs(StringInfo out);

#endif							/* ROLEFERRY_EXPOSITION_H */
