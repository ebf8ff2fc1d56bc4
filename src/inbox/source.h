/*-------------------------------------------------------------------------
 *
 * source.h
 *	  Where webhooks come from: a row of roleferry.webhook_source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SOURCE_H
#define ROLEFERRY_SOURCE_H

#include "nodes/pg_list.h"

#include "webhook/signature.h"

typedef struct RfSource
{
	char	   *name;
	RfScheme	scheme;
	char	   *provider;		/* whose words its events are in */
	List	   *secrets;		/* names of files, char * */
	int64		tolerance_us;
	int64		max_body;
	List	   *content_key;	/* paths of members, char *; NIL: none */
	bool		shadow;
} RfSource;

/* The enabled source of that name, palloc'd, or NULL.  Connected to SPI. */
extern RfSource *rf_source_find(const char *name);

/* Did the source send this?  what is filled in for RF_SIGN_OK. */
extern RfSignStatus rf_source_verify(const RfSource *source, const RfSignHeaders *headers,
									 RfText body, RfSigned *what);

#endif							/* ROLEFERRY_SOURCE_H */
