/*-------------------------------------------------------------------------
 *
 * setup.c
 *	  The engine's settings, as one counted snapshot.
 *
 * libcurl keeps the parsed CA bundle, and with it 25 ms of work a connection,
 * as long as the bundle is one file with the same name.  The name is all it
 * compares, for the parsed bundle as well as for kept-alive connections.  So
 * when the file behind a name has changed, the name is spelled differently
 * ("/./etc/x" for "/etc/x"): new transfers then neither use the old bundle nor
 * a connection that was accepted because of it.  The same is done when other
 * private addresses are allowed: a kept connection may lead to one that no
 * longer is.
 *
 * IDENTIFICATION
 *	  src/http/setup.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/setup.h"

#define SYSTEM_CA_FILE	"/etc/ssl/certs/ca-certificates.crt"

/* Spellings in use; by the time they come round, nothing of the old is left. */
#define CA_EPOCHS		64

static bool copy_texts(RfHttpSetup *setup, const RfHttpConfig *config);
static char *copy_text(const char *text);
static void take_print(RfHttpSetup *setup);
static char *spell_ca(const RfHttpSetup *setup);

RfHttpSetup *
rf_setup_create(const RfHttpConfig *config, const RfHttpSetup *previous,
				const char **why)
{
	RfHttpSetup *setup = calloc(1, sizeof(RfHttpSetup));
	RfIpRangeStatus status;

	*why = "out of memory";
	if (setup == NULL)
		return NULL;
	setup->references = 1;
	setup->max_connections = config->max_connections > 0 ? config->max_connections : 1;
	setup->connect_timeout_us = config->connect_timeout_us;
	setup->total_timeout_us = config->total_timeout_us;
	setup->idle_timeout_us = config->idle_timeout_us;
	setup->reuse_max_idle_s = config->reuse_max_idle_s;
	setup->max_body_bytes = config->max_body_bytes;

	status = rf_ip_range_parse(&setup->allowed, config->allow_private_addresses);
	if (status != RF_IP_RANGE_OK)
		*why = rf_ip_range_status_text(status);
	if (status != RF_IP_RANGE_OK || !copy_texts(setup, config))
	{
		rf_setup_release(setup);
		return NULL;
	}

	take_print(setup);
	if (previous != NULL)
	{
		setup->ca_epoch = previous->ca_epoch;
		if (strcmp(setup->ca_path, previous->ca_path) != 0 ||
			strcmp(setup->allowed_text, previous->allowed_text) != 0 ||
			memcmp(setup->ca_print, previous->ca_print, sizeof(setup->ca_print)) != 0)
			setup->ca_epoch = (setup->ca_epoch + 1) % CA_EPOCHS;
	}
	setup->ca_spelling = spell_ca(setup);
	if (setup->ca_spelling == NULL)
	{
		rf_setup_release(setup);
		return NULL;
	}
	return setup;
}

RfHttpSetup *
rf_setup_share(RfHttpSetup *setup)
{
	setup->references++;
	return setup;
}

void
rf_setup_release(RfHttpSetup *setup)
{
	if (setup == NULL || --setup->references > 0)
		return;
	rf_ip_range_free(&setup->allowed);
	free(setup->proxy);
	free(setup->insecure_hosts);
	free(setup->allowed_text);
	free(setup->ca_path);
	free(setup->ca_spelling);
	free(setup);
}

static bool
copy_texts(RfHttpSetup *setup, const RfHttpConfig *config)
{
	const char *ca_file = config->ca_file;

	if (ca_file == NULL || *ca_file == '\0')
		ca_file = access(SYSTEM_CA_FILE, R_OK) == 0 ? SYSTEM_CA_FILE : "";
	setup->ca_path = copy_text(ca_file);
	setup->proxy = copy_text(config->proxy);
	setup->insecure_hosts = copy_text(config->allow_insecure_hosts);
	setup->allowed_text = copy_text(config->allow_private_addresses);
	return setup->ca_path != NULL && setup->proxy != NULL &&
		setup->insecure_hosts != NULL && setup->allowed_text != NULL;
}

static char *
copy_text(const char *text)
{
	return strdup(text != NULL ? text : "");
}

/* A file that cannot be read has the print zero; libcurl will say so. */
static void
take_print(RfHttpSetup *setup)
{
	struct stat st;

	if (*setup->ca_path == '\0' || stat(setup->ca_path, &st) != 0)
		return;
	setup->ca_print[0] = (int64_t) st.st_dev;
	setup->ca_print[1] = (int64_t) st.st_ino;
	setup->ca_print[2] = (int64_t) st.st_size;
	setup->ca_print[3] = (int64_t) st.st_mtim.tv_sec * INT64_C(1000000000) +
		st.st_mtim.tv_nsec;
}

static char *
spell_ca(const RfHttpSetup *setup)
{
	bool		absolute = *setup->ca_path == '/';
	size_t		epoch = *setup->ca_path == '\0' ? 0 : setup->ca_epoch;
	char	   *spelling = malloc(epoch * 2 + strlen(setup->ca_path) + 1);
	char	   *p = spelling;

	if (spelling == NULL)
		return NULL;
	for (size_t i = 0; i < epoch; i++)
	{
		memcpy(p, absolute ? "/." : "./", 2);
		p += 2;
	}
	strcpy(p, setup->ca_path);
	return spelling;
}
