/*-------------------------------------------------------------------------
 *
 * target.h
 *	  The outbox, opened for rows that are put into it without a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TARGET_H
#define ROLEFERRY_TARGET_H

#include "nodes/execnodes.h"

typedef struct RfTarget
{
	MemoryContext context;		/* of all but the relations */
	ResultRelInfo *result;		/* the outbox, while opened; its indexes,
								 * while a row is put in */
	EState	   *estate;
	TupleTableSlot *row;		/* to be filled, see outbox/shape.h */
	Oid			outbox;
	int			nindexes;
	Oid		   *indexes;
	int		   *wanted;			/* column without which a row is in none; 0:
								 * that is for its condition to say */
	bool		keeps;			/* it holds for the next row, too */
} RfTarget;

/*
 * Between the two nothing may be asked that enqueues.  NULL: this outbox has
 * something that only a statement serves.
 */
extern RfTarget *rf_target_open(void);
extern void rf_target_close(RfTarget *target);

/* As the outbox's owner; the row's id is new. */
extern void rf_target_insert(RfTarget *target);

#endif							/* ROLEFERRY_TARGET_H */
