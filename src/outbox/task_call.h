/*-------------------------------------------------------------------------
 *
 * task_call.h
 *	  The function of a SQL task, and the statement that calls it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TASK_CALL_H
#define ROLEFERRY_TASK_CALL_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

typedef struct RfTaskSignature
{
	Oid			function;
	int			nargs;			/* what it is called with */
	int			nrequired;
	char	  **names;
	Oid		   *types;
	bool		whole;			/* one jsonb parameter: it takes all of args */
	Oid			result;
} RfTaskSignature;

/*
 * Reads the catalog; palloc'd.  False: it cannot be a task's function, and
 * *why says so.
 */
extern bool rf_task_signature(Oid function, RfTaskSignature *signature, char **why);

/* Do the keys of args name its parameters?  args is an object. */
extern bool rf_task_args_fit(const RfTaskSignature *signature, Jsonb *args,
							 char **why);

/*
 * SELECT function(...) with args as $1; its one column is the result as
 * jsonb, or void.  Every name is qualified.
 */
extern void rf_task_call_text(const RfTaskSignature *signature, Jsonb *args,
							  StringInfo text);

#endif							/* ROLEFERRY_TASK_CALL_H */
