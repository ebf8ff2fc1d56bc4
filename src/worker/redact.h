/*-------------------------------------------------------------------------
 *
 * redact.h
 *	  Taking our credentials out of a provider's answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_REDACT_H
#define ROLEFERRY_REDACT_H

#include "http/engine.h"

/* Overwrites what the request authenticated with, wherever the answer repeats it. */
extern void rf_redact_answer(RfTransfer *transfer);

#endif							/* ROLEFERRY_REDACT_H */
