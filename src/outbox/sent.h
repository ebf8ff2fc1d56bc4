/*-------------------------------------------------------------------------
 *
 * sent.h
 *	  What was sent goes from the outbox to roleferry.message without a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SENT_H
#define ROLEFERRY_SENT_H

#include "nodes/pg_list.h"

/*
 * Writes those that were sent, as far as it can, and returns the others of
 * them, for a statement: where a table has something that only a statement
 * serves, and where somebody else has written to a job's row just now.
 */
extern List *rf_sent_write(int64 incarnation, List *settlements);

#endif							/* ROLEFERRY_SENT_H */
