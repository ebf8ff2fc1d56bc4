/*-------------------------------------------------------------------------
 *
 * top_level.h
 *	  May something that cannot be taken back happen in this call?
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TOP_LEVEL_H
#define ROLEFERRY_TOP_LEVEL_H

#include "fmgr.h"

extern void rf_top_level_install_hooks(void);

/*
 * True where no rollback can follow this call of a function: it is all that a
 * client's SELECT outside a transaction block does.  The transaction is then
 * made to end with the statement, also in a pipeline.  False: something else
 * could still fail, and take back whatever this transaction has done.
 */
extern bool rf_top_level_is_alone(FunctionCallInfo fcinfo);

#endif							/* ROLEFERRY_TOP_LEVEL_H */
