/*-------------------------------------------------------------------------
 *
 * routes.c
 *	  Where the jobs of a strand go: an order of accounts, or executors.
 *
 * A route is a number that stands for either; what stands for the same is the
 * same route for as long as the process lives.
 *
 * IDENTIFICATION
 *	  src/worker/routes.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "shmem/server_mode.h"
#include "worker/limits.h"
#include "worker/pool.h"
#include "worker/roster.h"

typedef struct Route
{
	RfQueueEntry *queue;
	int			naccounts;
	char	  **names;
	int			pool;			/* of executors; -1: it is accounts */
} Route;

static Route *routes = NULL;
static int	nroutes = 0;
static int	routes_capacity = 0;

static int64 opens_at(RfRosterEntry *entry, int64 now_us);
static Route *add_route(const char *queue);
static bool same_route(const Route *route, const char *queue, List *accounts);

int
rf_roster_route(const char *queue, List *accounts)
{
	Route	   *route;
	MemoryContext old;
	ListCell   *lc;

	if (accounts == NIL)
		return -1;
	for (int i = 0; i < nroutes; i++)
		if (routes[i].pool < 0 && same_route(&routes[i], queue, accounts))
			return i;

	old = MemoryContextSwitchTo(TopMemoryContext);
	route = add_route(queue);
	route->names = palloc(list_length(accounts) * sizeof(char *));
	foreach(lc, accounts)
		route->names[route->naccounts++] = pstrdup(lfirst(lc));
	MemoryContextSwitchTo(old);
	return nroutes - 1;
}

int
rf_roster_capture_route(const char *queue)
{
	MemoryContext old;

	for (int i = 0; i < nroutes; i++)
		if (routes[i].pool < 0 && same_route(&routes[i], queue, NIL))
			return i;
	old = MemoryContextSwitchTo(TopMemoryContext);
	(void) add_route(queue);
	MemoryContextSwitchTo(old);
	return nroutes - 1;
}

int
rf_roster_pool_route(const char *queue, int pool)
{
	MemoryContext old;

	for (int i = 0; i < nroutes; i++)
		if (routes[i].pool == pool && strcmp(routes[i].queue->name, queue) == 0)
			return i;
	old = MemoryContextSwitchTo(TopMemoryContext);
	add_route(queue)->pool = pool;
	MemoryContextSwitchTo(old);
	return nroutes - 1;
}

RfQueueEntry *
rf_roster_route_queue(int route)
{
	return route >= 0 && route < nroutes ? routes[route].queue : NULL;
}

bool
rf_roster_is_pool(int route)
{
	return route >= 0 && route < nroutes && routes[route].pool >= 0;
}

int
rf_roster_route_capacity(int route, RfHttpEngine *engine, int64 now_us,
						 int64 *opens_at_us)
{
	int			capacity = 0;
	bool		any_present = false;
	int			queue_room;

	*opens_at_us = 0;
	if (route < 0 || route >= nroutes)
		return INT_MAX;			/* nothing known: the job itself will tell */
	queue_room = rf_queues_room(routes[route].queue, now_us, opens_at_us);
	if (queue_room == 0)
		return 0;
	if (routes[route].pool >= 0)
		return Min(queue_room, rf_pool_room(routes[route].pool));
	switch (rf_server_mode())
	{
		case RF_MODE_LIVE:
		case RF_MODE_SANDBOX:
			break;
		case RF_MODE_CAPTURE:
			return queue_room;	/* nobody is asked */
		case RF_MODE_OFF:
			return 0;
	}

	for (int i = 0; i < routes[route].naccounts; i++)
	{
		RfRosterEntry *entry = rf_roster_find(routes[route].names[i]);
		int64		opens;
		bool		closed;
		int			room;

		if (entry == NULL)
			continue;
		any_present = true;
		room = rf_roster_capacity(entry, engine, now_us, &closed);
		if (room == INT_MAX)
			return queue_room;
		capacity += room;
		if (!closed && room == 0)
			return Min(capacity, queue_room);	/* busy for a moment: nobody
												 * takes over */
		opens = opens_at(entry, now_us);
		if (opens > 0 && (*opens_at_us == 0 || opens < *opens_at_us))
			*opens_at_us = opens;
	}

	/* No account of these exists any more: let the job be claimed and fail. */
	return Min(any_present ? capacity : INT_MAX, queue_room);
}

/* In the order in which the jobs will choose. */
void
rf_roster_reserve(int route, int count, RfHttpEngine *engine, int64 now_us)
{
	if (route < 0 || route >= nroutes)
		return;
	for (int i = 0; i < routes[route].naccounts && count > 0; i++)
	{
		RfRosterEntry *entry = rf_roster_find(routes[route].names[i]);
		bool		closed;
		int			taken;

		if (entry == NULL)
			continue;
		taken = Min(count, rf_roster_capacity(entry, engine, now_us, &closed));
		entry->reserved += taken;
		count -= taken;
	}
}

/* When its gate and its windows are open; 0: unknown. */
static int64
opens_at(RfRosterEntry *entry, int64 now_us)
{
	RfGateView	view;
	int64		limited_until_us;

	if (entry->paused_until_us > now_us)
		return entry->paused_until_us;
	rf_gate_look(MyDatabaseId, entry->server, false, &view);
	if (rf_limits_room(entry, now_us, &limited_until_us) > 0)
		return view.opens_at_us;
	return limited_until_us == 0 ? 0 : Max(view.opens_at_us, limited_until_us);
}

static Route *
add_route(const char *queue)
{
	Route	   *route;

	if (nroutes == routes_capacity)
	{
		routes_capacity = routes_capacity ? routes_capacity * 2 : 16;
		routes = routes ? repalloc(routes, routes_capacity * sizeof(Route)) :
			palloc(routes_capacity * sizeof(Route));
	}
	route = &routes[nroutes++];
	memset(route, 0, sizeof(*route));
	route->pool = -1;
	route->queue = rf_queues_find(queue);
	return route;
}

static bool
same_route(const Route *route, const char *queue, List *accounts)
{
	if (route->naccounts != list_length(accounts) || strcmp(route->queue->name, queue) != 0)
		return false;
	for (int i = 0; i < route->naccounts; i++)
		if (strcmp(route->names[i], list_nth(accounts, i)) != 0)
			return false;
	return true;
}
