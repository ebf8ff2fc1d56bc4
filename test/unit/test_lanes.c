/* Which strand is served next: order, turns, marks, sweeps, and no job lost. */
#include <stdlib.h>

#include "core/lanes.h"
#include "tap.h"

#define MODEL_JOBS		2000
#define MODEL_STEPS		20000
#define MODEL_LANES		7
#define MODEL_PRIORITIES 3

static bool
every_route(int route, void *context)
{
	(void) route;
	(void) context;
	return true;
}

static bool
route_is_not(int route, void *context)
{
	return route != *(int *) context;
}

static int64_t
lane_of_pick(RfLanes *lanes, int64_t now)
{
	RfStrand   *strand = rf_lanes_pick(lanes, now, every_route, NULL);

	return strand != NULL ? strand->lane : -1;
}

static int64_t
serve(RfLanes *lanes, int64_t now)
{
	RfStrand   *strand = rf_lanes_pick(lanes, now, every_route, NULL);

	if (strand == NULL)
		return -1;
	rf_lanes_served(lanes, strand);
	return strand->lane;
}

static void
test_order(void)
{
	RfLanes		lanes;
	int			closed = 7;

	rf_lanes_init(&lanes);
	ok(rf_lanes_pick(&lanes, 100, every_route, NULL) == NULL, "nothing is served where nothing is known");
	ok(rf_lanes_next_after(&lanes, 100) == RF_LANES_NEVER, "and nothing will ever come");

	rf_lanes_lower(&lanes, 20, 0, 10, 0);
	rf_lanes_lower(&lanes, 21, 10, 90, 0);
	rf_lanes_lower(&lanes, 22, 5, 5, 0);
	rf_lanes_lower(&lanes, 23, 10, 200, 0);
	is_int(lane_of_pick(&lanes, 100), 21, "the highest priority is served first, though it came last");
	is_int(lane_of_pick(&lanes, 89), 22, "a strand is not due before its mark");
	is_int(lane_of_pick(&lanes, 90), 21, "it is due at its mark");
	is_int(lane_of_pick(&lanes, 4), -1, "nothing is due before the first mark");
	is_int(rf_lanes_next_after(&lanes, 4), 5, "the next to come is the smallest mark ahead");
	is_int(rf_lanes_next_after(&lanes, 5), 10, "a mark at this moment is not ahead");
	is_int(rf_lanes_next_after(&lanes, 100), 200, "nor are those behind");
	is_int(rf_lanes_next_after(&lanes, 200), RF_LANES_NEVER, "after the last there is none");

	rf_lanes_get(&lanes, 21, 10)->route = closed;
	ok(rf_lanes_pick(&lanes, 100, route_is_not, &closed)->lane == 22,
	   "a strand whose route is closed stands in nobody's way");
	rf_lanes_free(&lanes);
	is_int((int64_t) lanes.nstrands, 0, "freed lanes are empty and can be used again");
}

static void
test_turns(void)
{
	RfLanes		lanes;
	int			count[4] = {0, 0, 0, 0};
	bool		alternates = true;

	rf_lanes_init(&lanes);
	for (int64_t lane = 0; lane < 3; lane++)
		rf_lanes_lower(&lanes, lane, 5, 1 + lane, 0);
	for (int i = 0; i < 300; i++)
	{
		int64_t		lane = serve(&lanes, 100);

		alternates = alternates && lane == i % 3;
		count[lane]++;
	}
	ok(alternates, "strands of one priority take turns");

	rf_lanes_lower(&lanes, 3, 5, 1, 0);
	is_int(serve(&lanes, 100), 3, "a strand that was never served goes before those that were");
	for (int i = 0; i < 4; i++)
		count[serve(&lanes, 100)]++;
	ok(count[0] == 101 && count[1] == 101 && count[2] == 101 && count[3] == 1,
	   "and then has one turn in four");

	rf_lanes_lower(&lanes, 0, 6, 1, 0);
	is_int(rf_lanes_pick(&lanes, 100, every_route, NULL)->priority, 6,
		   "the same lane at a higher priority is a strand of its own");
	rf_lanes_free(&lanes);
}

/* Jobs that stand elsewhere: a strand is due when they or its own are. */
static void
test_ready_elsewhere(void)
{
	RfLanes		lanes;
	RfStrand   *strand;

	rf_lanes_init(&lanes);
	strand = rf_lanes_get(&lanes, 30, 5);
	rf_lanes_set_ready(&lanes, strand, 40);
	is_int(rf_lanes_next_after(&lanes, 39), 40, "a strand is due when a job is that stands elsewhere");
	is_int(lane_of_pick(&lanes, 39), -1, "not before");
	is_int(lane_of_pick(&lanes, 40), 30, "then it is picked");
	rf_lanes_lower(&lanes, 30, 5, 35, 0);
	is_int(lane_of_pick(&lanes, 35), 30, "its own may come first");
	for (int i = 0; i < 40; i++)
	{
		rf_lanes_sweep_begin(&lanes);
		rf_lanes_sweep_end(&lanes);
	}
	is_int(lane_of_pick(&lanes, 39), -1, "sweeps forget what they do not find");
	is_int(lane_of_pick(&lanes, 40), 30, "but not what stands elsewhere");
	for (int64_t lane = 100; lanes.nstrands < lanes.capacity; lane++)
		rf_lanes_get(&lanes, lane, 5);
	strand = rf_lanes_pick(&lanes, 40, every_route, NULL);
	ok(rf_lanes_get(&lanes, 30, 5) == strand, "nothing moves when one is looked up that is there");
	rf_lanes_set_ready(&lanes, strand, RF_LANES_NEVER);
	is_int(rf_lanes_next_after(&lanes, 0), RF_LANES_NEVER, "until there is none");
	is_int(lane_of_pick(&lanes, 1000), -1, "and the strand is not due");
	rf_lanes_free(&lanes);
}

/* A route whose jobs are of a low priority has a part of the turns. */
static void
test_no_route_starves(void)
{
	RfLanes		lanes;
	int			count[3] = {0, 0, 0};
	int			out_of_turn = 0;

	rf_lanes_init(&lanes);
	for (int64_t lane = 0; lane < 3; lane++)
	{
		rf_lanes_lower(&lanes, lane, lane == 0 ? 10 : 0, 1, 0);
		rf_lanes_get(&lanes, lane, lane == 0 ? 10 : 0)->route = (int) lane;
	}
	for (int i = 0; i < 160; i++)
	{
		RfStrand   *strand = rf_lanes_pick(&lanes, 100, every_route, NULL);

		count[strand->lane]++;
		out_of_turn += lanes.out_of_turn;
		rf_lanes_served(&lanes, strand);
	}
	ok(count[0] == 140 && count[1] == 10 && count[2] == 10,
	   "a priority of 10 has seven of eight services, the routes below share the eighth");
	is_int(out_of_turn, 20, "and it is known which were out of turn");
	rf_lanes_free(&lanes);

	rf_lanes_init(&lanes);
	rf_lanes_lower(&lanes, 1, 10, 1, 0);
	rf_lanes_lower(&lanes, 1, 0, 1, 0);
	for (int i = 0; i < 20; i++)
	{
		RfStrand   *strand = rf_lanes_pick(&lanes, 100, every_route, NULL);

		out_of_turn += strand->priority != 10;
		rf_lanes_served(&lanes, strand);
	}
	is_int(out_of_turn, 20, "within a route the higher priority always goes first");
	rf_lanes_free(&lanes);
}

/* Queued as of unknown routes, which a look learns then. */
static void
test_learned_routes(void)
{
	RfLanes		lanes;
	int			closed = 7;
	RfStrand   *strand;

	rf_lanes_init(&lanes);
	rf_lanes_lower(&lanes, 1, 5, 10, 0);
	rf_lanes_lower(&lanes, 2, 5, 10, 0);
	is_int(lane_of_pick(&lanes, 100), 1, "of two strands the first is served");
	rf_lanes_get(&lanes, 1, 5)->route = closed;
	rf_lanes_get(&lanes, 2, 5)->route = closed + 1;
	strand = rf_lanes_pick(&lanes, 100, route_is_not, &closed);
	ok(strand != NULL && strand->lane == 2, "unless its route is found to be closed");
	rf_lanes_free(&lanes);
}

static bool
mark_is(RfLanes *lanes, int64_t run_at, int64_t id)
{
	RfStrand   *strand = rf_lanes_get(lanes, 1, 5);

	return strand->run_at == run_at && strand->id == id;
}

static void
test_marks(void)
{
	RfLanes		lanes;

	rf_lanes_init(&lanes);
	ok(mark_is(&lanes, RF_LANES_NEVER, 0), "a new strand waits for nothing");
	rf_lanes_lower(&lanes, 1, 5, 50, 7);
	ok(mark_is(&lanes, 50, 7), "the first job sets the mark");
	rf_lanes_lower(&lanes, 1, 5, 60, 1);
	ok(mark_is(&lanes, 50, 7), "a later one leaves it");
	rf_lanes_lower(&lanes, 1, 5, 50, 8);
	ok(mark_is(&lanes, 50, 7), "so does one of the same time and a higher id");
	rf_lanes_lower(&lanes, 1, 5, 50, 7);
	ok(mark_is(&lanes, 50, 7), "so does the same one");
	rf_lanes_lower(&lanes, 1, 5, 50, 3);
	ok(mark_is(&lanes, 50, 3), "a smaller id of the same time lowers it");
	rf_lanes_lower(&lanes, 1, 5, 49, 900);
	ok(mark_is(&lanes, 49, 900), "an earlier time lowers it, whatever its id");
	rf_lanes_lower(&lanes, 1, 5, INT64_MIN, 0);
	ok(mark_is(&lanes, INT64_MIN, 0), "the earliest of all times is one");
	rf_lanes_lower(&lanes, 2, 5, 1, 1);
	ok(mark_is(&lanes, INT64_MIN, 0), "other lanes leave it alone");
	rf_lanes_free(&lanes);
}

static void
sweep_nothing(RfLanes *lanes)
{
	rf_lanes_sweep_begin(lanes);
	rf_lanes_sweep_end(lanes);
}

static void
test_sweeps(void)
{
	RfLanes		lanes;
	int			sweeps = 0;
	RfStrand   *strand;

	rf_lanes_init(&lanes);
	rf_lanes_lower(&lanes, 1, 5, 10, 1);
	rf_lanes_lower(&lanes, 2, 5, 10, 1);
	rf_lanes_get(&lanes, 1, 5)->route = 4;
	rf_lanes_served(&lanes, rf_lanes_get(&lanes, 1, 5));

	rf_lanes_sweep_begin(&lanes);
	strand = rf_lanes_sweep_found(&lanes, 1, 5, 70, 9);
	ok(strand != NULL && strand->lane == 1, "what a sweep finds is the strand");
	rf_lanes_sweep_found(&lanes, 3, 5, 80, 2);
	rf_lanes_sweep_end(&lanes);

	ok(mark_is(&lanes, 70, 9), "a sweep raises a mark, too: it sets it exactly");
	ok(rf_lanes_get(&lanes, 2, 5)->run_at == RF_LANES_NEVER, "a strand it does not find waits for nothing");
	ok(rf_lanes_get(&lanes, 3, 5)->run_at == 80, "one that nobody announced is found");
	ok(rf_lanes_get(&lanes, 1, 5)->route == 4 && rf_lanes_get(&lanes, 1, 5)->served == 1,
	   "route and turn outlive a sweep");

	while (lanes.nstrands > 0 && sweeps < 1000)
	{
		sweep_nothing(&lanes);
		sweeps++;
	}
	ok(sweeps > 2 && sweeps < 1000, "strands that stay empty are forgotten, and not at once");

	rf_lanes_lower(&lanes, 1, 5, 10, 1);
	ok(mark_is(&lanes, 10, 1), "a forgotten strand can come back");
	is_int(rf_lanes_get(&lanes, 1, 5)->route, -1, "as a new one");
	rf_lanes_free(&lanes);
}

/* More strands than the first array holds, some leaving: the index stays right. */
static void
test_many(void)
{
	RfLanes		lanes;
	const int	many = 5000;
	bool		right = true;
	int			served = 0;

	rf_lanes_init(&lanes);
	for (int i = 0; i < many; i++)
		right = right && rf_lanes_lower(&lanes, (int64_t) i * INT64_C(0x100000000), i % 11, 1 + i, i);
	for (int i = 0; i < many; i++)
	{
		RfStrand   *strand = rf_lanes_get(&lanes, (int64_t) i * INT64_C(0x100000000), i % 11);

		right = right && strand->run_at == 1 + i && strand->id == i;
	}
	ok(right, "thousands of strands keep their marks");
	is_int((int64_t) lanes.nstrands, many, "and are there once each");

	for (int sweep = 0; sweep < 40; sweep++)
	{
		rf_lanes_sweep_begin(&lanes);
		for (int i = 0; i < many; i += 3)
			rf_lanes_sweep_found(&lanes, (int64_t) i * INT64_C(0x100000000), i % 11, 1 + i, i);
		rf_lanes_sweep_end(&lanes);
	}
	is_int((int64_t) lanes.nstrands, (many + 2) / 3, "forgetting two of three leaves the third");
	for (int i = 0; i < many; i += 3)
	{
		RfStrand   *strand = rf_lanes_get(&lanes, (int64_t) i * INT64_C(0x100000000), i % 11);

		right = right && strand->run_at == 1 + i;
		rf_lanes_served(&lanes, strand);
		served++;
	}
	ok(right && (int) lanes.nstrands == served, "and it is found where it was");
	rf_lanes_free(&lanes);
}

/*
 * The model: a plain list of jobs, claimed as the dispatcher claims them.
 * Whatever happens, no waiting job stands before its strand's mark.
 */
typedef struct Job
{
	int64_t		lane;
	int			priority;
	int64_t		run_at;
	int64_t		id;
	bool		waiting;
	bool		done;
} Job;

static Job	jobs[MODEL_JOBS];
static int	njobs;

static uint64_t
next_random(void)
{
	static uint64_t state = UINT64_C(88172645463325252);

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int
random_below(int bound)
{
	return (int) (next_random() % (uint64_t) bound);
}

static bool
stands_before(const Job *job, int64_t run_at, int64_t id)
{
	return job->run_at < run_at || (job->run_at == run_at && job->id < id);
}

/* The first waiting job of a strand at or after a position; NULL: none. */
static Job *
first_waiting(int64_t lane, int priority, int64_t run_at, int64_t id)
{
	Job		   *first = NULL;

	for (int i = 0; i < njobs; i++)
	{
		Job		   *job = &jobs[i];

		if (!job->waiting || job->lane != lane || job->priority != priority ||
			stands_before(job, run_at, id))
			continue;
		if (first == NULL || stands_before(job, first->run_at, first->id))
			first = job;
	}
	return first;
}

/* A hint names a time, not an id; some jobs come without one, until a sweep. */
static void
add_job(RfLanes *lanes, int64_t now, bool *announced)
{
	Job		   *job = &jobs[njobs];

	if (njobs == MODEL_JOBS)
		return;
	job->lane = 16 + random_below(MODEL_LANES);
	job->priority = random_below(MODEL_PRIORITIES);
	job->run_at = now + random_below(40) - 20;
	job->id = ++njobs;
	job->waiting = true;
	if (random_below(20) == 0)
		*announced = false;
	else
		rf_lanes_lower(lanes, job->lane, job->priority, job->run_at, 0);
}

static void
sweep_model(RfLanes *lanes)
{
	rf_lanes_sweep_begin(lanes);
	for (int64_t lane = 16; lane < 16 + MODEL_LANES; lane++)
	{
		for (int priority = 0; priority < MODEL_PRIORITIES; priority++)
		{
			Job		   *job = first_waiting(lane, priority, INT64_MIN, 0);

			if (job != NULL)
				rf_lanes_sweep_found(lanes, lane, priority, job->run_at, job->id);
		}
	}
	rf_lanes_sweep_end(lanes);
}

/* As a claim does it: up to n from the mark, then the mark moves on. */
static int
claim_model(RfLanes *lanes, int64_t now, int n, bool *right)
{
	RfStrand   *strand = rf_lanes_pick(lanes, now, every_route, NULL);
	Job		   *job = NULL;
	int			claimed = 0;

	if (strand == NULL)
		return -1;
	for (size_t i = 0; i < lanes->nstrands; i++)
		*right = *right && (lanes->strands[i].run_at > now ||
							lanes->strands[i].priority <= strand->priority);

	while (claimed < n)
	{
		job = first_waiting(strand->lane, strand->priority, strand->run_at, strand->id);
		if (job == NULL || job->run_at > now)
			break;
		job->waiting = false;
		claimed++;
		strand->run_at = job->run_at;
		strand->id = job->id;
	}
	if (claimed < n)
	{
		strand->run_at = job != NULL ? job->run_at : RF_LANES_NEVER;
		strand->id = job != NULL ? job->id : 0;
	}
	rf_lanes_served(lanes, strand);
	return claimed;
}

/* What is under way ends, or waits again a little later. */
static void
settle_model(RfLanes *lanes, int64_t now)
{
	for (int i = 0; i < njobs; i++)
	{
		Job		   *job = &jobs[i];

		if (job->waiting || job->done)
			continue;
		if (random_below(3) != 0)
		{
			job->done = true;
			continue;
		}
		job->waiting = true;
		job->run_at = now + random_below(30);
		rf_lanes_lower(lanes, job->lane, job->priority, job->run_at, job->id);
	}
}

static bool
no_job_is_before_its_mark(RfLanes *lanes)
{
	for (int i = 0; i < njobs; i++)
	{
		RfStrand   *strand;

		if (!jobs[i].waiting)
			continue;
		strand = rf_lanes_get(lanes, jobs[i].lane, jobs[i].priority);
		if (stands_before(&jobs[i], strand->run_at, strand->id))
			return false;
	}
	return true;
}

static void
test_model(void)
{
	RfLanes		lanes;
	int64_t		now = 1000;
	bool		announced = true;
	bool		right = true;
	bool		found = true;
	int			ended = 0;

	rf_lanes_init(&lanes);
	for (int step = 0; step < MODEL_STEPS && found; step++)
	{
		int			what = random_below(100);

		if (what < 30)
			add_job(&lanes, now, &announced);
		else if (what < 70)
			(void) claim_model(&lanes, now, 1 + random_below(5), &right);
		else if (what < 80)
			settle_model(&lanes, now);
		else if (what < 85)
		{
			sweep_model(&lanes);
			announced = true;
		}
		else
			now += random_below(10);
		if (announced && step % 10 == 0)
			found = no_job_is_before_its_mark(&lanes);
	}
	ok(found, "at no time does an announced job stand before its strand's mark");
	ok(right, "at no time is a due strand of higher priority passed over");

	for (int round = 0; round < 100000 && ended < njobs; round++)
	{
		if (claim_model(&lanes, now, 1 + random_below(5), &right) < 0)
		{
			sweep_model(&lanes);
			now += 5;
		}
		settle_model(&lanes, now);
		ended = 0;
		for (int i = 0; i < njobs; i++)
			ended += jobs[i].done ? 1 : 0;
	}
	is_int(ended, MODEL_JOBS, "in the end every job was claimed, and none is left");
	rf_lanes_free(&lanes);
}

/* What a walk over all strands would pick. */
static RfStrand *
pick_by_walk(RfLanes *lanes, int64_t now, int closed)
{
	RfStrand   *best = NULL;

	for (size_t i = 0; i < lanes->nstrands; i++)
	{
		RfStrand   *strand = &lanes->strands[i];

		if (strand->run_at > now || strand->route == closed)
			continue;
		if (best == NULL || strand->priority > best->priority ||
			(strand->priority == best->priority && strand->served < best->served))
			best = strand;
	}
	return best;
}

static int64_t
next_by_walk(RfLanes *lanes, int64_t now)
{
	int64_t		next = RF_LANES_NEVER;

	for (size_t i = 0; i < lanes->nstrands; i++)
	{
		if (lanes->strands[i].run_at > now && lanes->strands[i].run_at < next)
			next = lanes->strands[i].run_at;
	}
	return next;
}

/* A look finds one strand in two, and learns their routes. */
static void
look_around(RfLanes *lanes, int64_t now)
{
	rf_lanes_sweep_begin(lanes);
	for (int lane = 0; lane < 400; lane++)
	{
		if (random_below(2) == 0)
			rf_lanes_sweep_found(lanes, lane, lane % 4, now + random_below(60) - 30, lane)->route = lane % 9 - 1;
	}
	rf_lanes_sweep_end(lanes);
}

static void
change_something(RfLanes *lanes, int64_t now)
{
	int64_t		lane = random_below(400);
	RfStrand   *strand;

	switch (random_below(4))
	{
		case 0:
			rf_lanes_lower(lanes, lane, random_below(4), now + random_below(60) - 20, lane);
			break;
		case 1:
			strand = rf_lanes_pick(lanes, now, every_route, NULL);
			if (strand == NULL)
				break;
			strand->route = (int) (strand->lane % 9) - 1;
			strand->run_at = random_below(3) == 0 ? RF_LANES_NEVER : now + random_below(50) - 10;
			rf_lanes_served(lanes, strand);
			break;
		case 2:
			if (random_below(50) == 0)
				look_around(lanes, now);
			break;
		case 3:
			rf_lanes_get(lanes, lane, random_below(4));
			break;
	}
}

static void
test_queues(void)
{
	RfLanes		lanes;
	int64_t		now = 1000;
	bool		same = true;

	rf_lanes_init(&lanes);
	for (int step = 0; step < 100000 && same; step++)
	{
		int			closed = random_below(12);
		RfStrand   *picked;
		RfStrand   *walked;

		change_something(&lanes, now);
		now += random_below(4) - (random_below(50) == 0 ? 30 : 0);
		picked = rf_lanes_pick(&lanes, now, route_is_not, &closed);
		walked = pick_by_walk(&lanes, now, closed);
		same = (picked == NULL) == (walked == NULL) &&
			(picked == NULL || (picked->run_at <= now && picked->route != closed &&
								(lanes.out_of_turn ? picked->priority < walked->priority && lanes.turn % 8 == 7 :
								 picked->priority == walked->priority && picked->served == walked->served))) &&
			rf_lanes_next_after(&lanes, now) == next_by_walk(&lanes, now);
	}
	ok(same, "queues give what a walk over all strands would");
	ok(lanes.nstrands > 300, "and there were many: %zu", lanes.nstrands);
	rf_lanes_free(&lanes);
}

int
main(void)
{
	test_queues();
	test_order();
	test_turns();
	test_ready_elsewhere();
	test_no_route_starves();
	test_learned_routes();
	test_marks();
	test_sweeps();
	test_many();
	test_model();
	return done_testing();
}
