/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  The SQLSTATEs roleferry raises, by situation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ERRORS_H
#define ROLEFERRY_ERRORS_H

#include "utils/elog.h"

/* A bad argument: always with the field named. */
#define RF_ERRCODE_BAD_ARGUMENT		ERRCODE_INVALID_PARAMETER_VALUE

/* Not preloaded, not listed, not activated, dispatcher not running. */
#define RF_ERRCODE_NOT_READY		ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE

/* A limit of ours is reached. */
#define RF_ERRCODE_LIMIT			ERRCODE_PROGRAM_LIMIT_EXCEEDED

/* No right to the account or object. */
#define RF_ERRCODE_NO_RIGHT			ERRCODE_INSUFFICIENT_PRIVILEGE

/* An account or job that is not there. */
#define RF_ERRCODE_NOT_FOUND		ERRCODE_UNDEFINED_OBJECT

/* A server option that is wrong, missing, or not valid for its provider. */
#define RF_ERRCODE_BAD_OPTION		ERRCODE_FDW_INVALID_OPTION_NAME
#define RF_ERRCODE_BAD_OPTION_VALUE ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE

/* A provider was asked while the caller waited, and gave no answer to use. */
#define RF_ERRCODE_RATE_LIMIT		MAKE_SQLSTATE('R', 'F', '0', '0', '1')
#define RF_ERRCODE_CIRCUIT_OPEN		MAKE_SQLSTATE('R', 'F', '0', '0', '2')
#define RF_ERRCODE_REFUSED			MAKE_SQLSTATE('R', 'F', '0', '0', '3')
#define RF_ERRCODE_NOT_REACHED		ERRCODE_CONNECTION_FAILURE

/* Nobody can know yet what became of it. */
#define RF_ERRCODE_UNKNOWN			MAKE_SQLSTATE('R', 'F', '0', '0', '5')

#endif							/* ROLEFERRY_ERRORS_H */
