/*-------------------------------------------------------------------------
 *
 * caller.h
 *	  Functions that read for their caller what he may not read himself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CALLER_H
#define ROLEFERRY_CALLER_H

#include "fmgr.h"

/*
 * Act as the owner of the SQL function that is called, until the caller's
 * identity is set again with SetUserIdAndSecContext().  An error gives it back
 * with the transaction.
 */
extern void rf_caller_become_owner(FunctionCallInfo fcinfo, Oid *userid, int *context);

#endif							/* ROLEFERRY_CALLER_H */
