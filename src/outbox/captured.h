/*-------------------------------------------------------------------------
 *
 * captured.h
 *	  Jobs that roleferry.mode keeps from being sent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CAPTURED_H
#define ROLEFERRY_CAPTURED_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef struct RfCaptured
{
	int64		job_id;
	TimestampTz created_at;
	char	   *task;
	char	   *role;
	char	   *installation;
	Jsonb	   *args;			/* NULL: forgotten */
	List	   *accounts;		/* names, in order */
} RfCaptured;

/*
 * RfCaptured, palloc'd, by id: the asker's, or all if he may read the outbox.
 * Reads as the tables' owner.
 */
extern List *rf_captured_list(const char *asker);

#endif							/* ROLEFERRY_CAPTURED_H */
