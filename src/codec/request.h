/*-------------------------------------------------------------------------
 *
 * request.h
 *	  One HTTP request and one HTTP response, as data.
 *
 * Adapters fill an RfRequest, the HTTP engine performs it and fills an
 * RfResponse, adapters read that.  Neither knows the other.  Pure: memory is
 * malloc'd and owned by the struct; every function that allocates reports
 * failure instead of aborting.  Secrets may stand in headers and in
 * basic_password: rf_request_free() wipes what it frees.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_REQUEST_H
#define ROLEFERRY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

/* Bounds on what a provider's answer may make us keep. */
#define RF_RESPONSE_MAX_HEADERS		100
#define RF_RESPONSE_MAX_HEADER_BYTES (64 * 1024)

typedef struct RfFormField
{
	char	   *name;
	char	   *value;			/* not NUL-terminated data: see value_len */
	size_t		value_len;
} RfFormField;

typedef struct RfRequest
{
	char	   *url;			/* absolute */
	bool		get;			/* GET, without body and fields; else POST */
	char	  **headers;		/* "Name: value" lines */
	size_t		nheaders;
	char	   *basic_user;		/* HTTP Basic, or NULL */
	char	   *basic_password;
	char	   *body;			/* raw body, or NULL when fields are given */
	size_t		body_len;
	RfFormField *fields;		/* multipart/form-data fields, in order */
	size_t		nfields;
	size_t		answer_bytes;	/* kept of the answer's body, if this is more
								 * than what the engine keeps of any */
} RfRequest;

typedef struct RfResponseHeader
{
	char	   *name;
	char	   *value;			/* surrounding white space removed */
} RfResponseHeader;

typedef struct RfResponse
{
	int			status;			/* 0: no status line was read */
	RfResponseHeader *headers;
	size_t		nheaders;
	char	   *body;			/* NUL-terminated for convenience; may be NULL */
	size_t		body_len;
	bool		truncated;		/* cut by the peer or by our caps */
} RfResponse;

extern bool rf_request_set_url(RfRequest *request, const char *url);
extern bool rf_request_add_header(RfRequest *request, const char *name,
								  const char *value);
extern bool rf_request_set_basic(RfRequest *request, const char *user,
								 const char *password);
extern bool rf_request_add_field(RfRequest *request, const char *name,
								 const char *value, size_t value_len);

/* Frees the contents, not the struct. */
extern void rf_request_free(RfRequest *request);

extern bool rf_response_add_header(RfResponse *response, const char *line,
								   size_t line_len);

/* Case is ignored, the last header of that name wins; NULL: there is none. */
extern const char *rf_response_header(const RfResponse *response,
									  const char *name);

/* Frees the contents, not the struct. */
extern void rf_response_free(RfResponse *response);

#endif							/* ROLEFERRY_REQUEST_H */
