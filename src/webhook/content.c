/*-------------------------------------------------------------------------
 *
 * content.c
 *	  What an event says, apart from who sent it and when.
 *
 * Members are hashed as JSON in one spelling, so that white space and the order
 * of an object's members do not tell two events apart.
 *
 * IDENTIFICATION
 *	  src/webhook/content.c
 *
 *-------------------------------------------------------------------------
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "webhook/key.h"
#include "webhook/content.h"

static bool add_member(RfBuffer *all, json_t *root, const char *path);
static json_t *member_at(json_t *root, const char *path);

bool
rf_content_digest(RfText event, const char *const *paths, size_t npaths,
				  unsigned char *digest)
{
	json_t	   *root = json_loadb(event.len > 0 ? event.data : "", event.len,
								  JSON_REJECT_DUPLICATES, NULL);
	RfBuffer	all = {0};
	bool		complete = root != NULL && npaths > 0;
	RfText		content;

	for (size_t i = 0; i < npaths && complete; i++)
		complete = add_member(&all, root, paths[i]);
	json_decref(root);
	content.data = all.data;
	content.len = all.len;
	complete = complete && !all.failed && rf_key_digest(&content, 1, digest);
	rf_buffer_free(&all);
	return complete;
}

bool
rf_content_is_json(RfText body)
{
	json_t	   *root = body.len == 0 ? NULL : json_loadb(body.data, body.len, 0, NULL);
	bool		is = root != NULL;

	json_decref(root);
	return is;
}

/* A line each: JSON in this form has no line break. */
static bool
add_member(RfBuffer *all, json_t *root, const char *path)
{
	char	   *member = json_dumps(member_at(root, path),
									JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_COMPACT);

	if (member == NULL)
		return false;
	rf_buffer_add_text(all, member);
	rf_buffer_add(all, "\n", 1);
	free(member);
	return true;
}

static json_t *
member_at(json_t *root, const char *path)
{
	while (root != NULL)
	{
		size_t		len = strcspn(path, ".");
		char		name[128];

		if (len >= sizeof(name))
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		root = json_object_get(root, name);
		if (path[len] == '\0')
			return root;
		path += len + 1;
	}
	return NULL;
}
