/*-------------------------------------------------------------------------
 *
 * process.c
 *	  What happens to the process: stops, signals, descriptors, names.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define STOPPED_TRANSFERS	50

static volatile sig_atomic_t alarms;
static volatile sig_atomic_t alarms_elsewhere;
static pid_t main_thread;

/* Stops this process for a while, from outside. */
static pid_t
stop_soon(unsigned before_us, unsigned stopped_us)
{
	pid_t		parent = getpid();
	pid_t		child;

	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		usleep(before_us);
		kill(parent, SIGSTOP);
		usleep(stopped_us);
		kill(parent, SIGCONT);
		_exit(0);
	}
	return child;
}

static void
test_stopped(void)
{
	RfHttpConfig config = usual_config();
	RfTransfer	transfers[STOPPED_TRANSFERS];
	RfTransfer *pointers[STOPPED_TRANSFERS];
	int			answered = 0;
	pid_t		child;
	int64_t		began_us;

	config.total_timeout_us = 2000000;
	config.idle_timeout_us = 2000000;
	configure(&config);
	for (int i = 0; i < STOPPED_TRANSFERS; i++)
	{
		pointers[i] = &transfers[i];
		prepare(pointers[i], ports.server, i == 0 ? "late" : "slow", "stopped");
		rf_http_start(engine, pointers[i], clock_us());
	}
	began_us = clock_us();
	child = stop_soon(700000, 5000000);
	run_until_finished(pointers, STOPPED_TRANSFERS);
	waitpid(child, NULL, 0);
	for (int i = 0; i < STOPPED_TRANSFERS; i++)
	{
		if (transfers[i].end == RF_TRANSFER_ANSWERED && !transfers[i].response.truncated)
			answered++;
		else
			printf("# %d: \"%s\" after %lld ms\n", i, transfers[i].why,
				   (long long) (transfers[i].finished_us - transfers[i].started_us) / 1000);
		rf_http_release(&transfers[i]);
	}
	ok(clock_us() - began_us > 4500000, "the process was stopped for longer than the timeouts");
	is_int(answered, STOPPED_TRANSFERS,
		   "answers that came meanwhile are answers, and so is a later one");
	config = usual_config();
	configure(&config);
}

static void
note_alarm(int signal_number)
{
	(void) signal_number;
	alarms++;
	if (gettid() != main_thread)
		alarms_elsewhere++;
}

/* A name other than "localhost", which libcurl answers without a thread. */
static bool
local_name(char *name, size_t size)
{
	struct addrinfo *found = NULL;

	if (gethostname(name, size) != 0 || strcmp(name, "localhost") == 0 ||
		getaddrinfo(name, NULL, NULL, &found) != 0)
		return false;
	freeaddrinfo(found);
	return true;
}

static void
test_signals(void)
{
	struct itimerval timer = {{0, 1000}, {0, 1000}};
	struct sigaction action;
	char		name[256];
	char		url[300];
	int64_t		until_us = clock_us() + 3000000;
	int			resolved = 0;
	int			changed = 0;
	sigset_t	before;
	sigset_t	after;

	if (!local_name(name, sizeof(name)))
	{
		skip("this machine cannot resolve its own name");
		return;
	}
	main_thread = gettid();
	memset(&action, 0, sizeof(action));
	action.sa_handler = note_alarm;
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int port = 1; clock_us() < until_us; port = port % 900 + 1)
	{
		RfTransfer	transfer;

		snprintf(url, sizeof(url), "https://%s:%d/", name, port);
		prepare_url(&transfer, url);
		perform(&transfer);
		resolved += transfer.end == RF_TRANSFER_NOT_SENT ? 1 : 0;
		rf_http_release(&transfer);
	}
	memset(&timer, 0, sizeof(timer));
	setitimer(ITIMER_REAL, &timer, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ok(alarms > 500 && resolved > 50, "signals are handled while names are resolved");
	printf("# %d signals, %d names\n", (int) alarms, resolved);
	is_int(alarms_elsewhere, 0, "on the main thread only");
	for (int i = 1; i < 32; i++)
		changed += sigismember(&before, i) != sigismember(&after, i) ? 1 : 0;
	is_int(changed, 0, "the signal mask is as it was");
}

static void
test_capacity(void)
{
	char		name[256];
	char		url[300];
	RfTransfer	transfer;
	RfTransfer *waiting = &transfer;

	is_int(rf_http_host_capacity(engine, "https://127.0.0.1:1/", clock_us()), INT_MAX,
		   "an address needs no resolving");
	is_int(rf_http_host_capacity(engine, "https://[2001:db8::1]/x", clock_us()), INT_MAX,
		   "of either kind");
	is_int(rf_http_host_capacity(engine, "https://unknown.invalid/", clock_us()), 1,
		   "of a new name one may start");
	if (!local_name(name, sizeof(name)))
	{
		skip("this machine cannot resolve its own name");
		return;
	}
	snprintf(url, sizeof(url), "https://%s:%d/ok/capacity", name, ports.server);
	prepare_url(&transfer, url);
	is_int(rf_http_host_capacity(engine, url, clock_us()), 1, "one");
	rf_http_start(engine, &transfer, clock_us());
	is_int(rf_http_host_capacity(engine, url, clock_us()), 0, "and while it resolves no other");
	run_until_finished(&waiting, 1);
	is_int(rf_http_host_capacity(engine, url, clock_us()), INT_MAX, "then any number");
	is_int(rf_http_host_capacity(engine, url, clock_us() + 55000000), 1,
		   "until the address is old");
	rf_http_release(&transfer);
}

/* Sixty failures of each kind leave no descriptor behind. */
static void
test_descriptors(void)
{
	RfHttpConfig config = usual_config();
	RfTransfer	transfer;
	int			before;
	int			after = 0;

	config.reuse_max_idle_s = 0;
	config.idle_timeout_us = 50000;
	configure(&config);
	request(&transfer, ports.server, "ok", "descriptors");
	rf_http_release(&transfer);
	before = open_descriptors();
	for (int i = 0; i < 60; i++)
	{
		static const char *const behaviours[] = {"drop", "ok", "hang"};

		request(&transfer, ports.server, behaviours[i % 3], "descriptors");
		rf_http_release(&transfer);
		request(&transfer, i % 2 == 0 ? ports.expired : 1, "ok", "descriptors");
		rf_http_release(&transfer);
	}
	after = open_descriptors();
	if (!ok(after <= before, "no descriptor is left behind"))
		printf("# %d before, %d after\n", before, after);
	config = usual_config();
	configure(&config);
}

/*
 * In a process of its own, because what the engine leaks then is leaked: the
 * epoll descriptor turns into something else, so libcurl fails as a whole.
 */
static int
break_library(void)
{
	RfHttpConfig config = usual_config();
	RfTransfer	sent;
	RfTransfer	started;
	RfTransfer	later;
	RfTransfer *both[] = {&sent, &started};
	const char *why;
	int			problems = 0;
	int			saved;

	engine = rf_http_engine_create(&config, &why);
	prepare(&sent, ports.server, "hang", "library");
	rf_http_start(engine, &sent, clock_us());
	run_for(500000);
	saved = dup(rf_http_epoll_fd(engine));
	dup2(STDIN_FILENO, rf_http_epoll_fd(engine));
	prepare(&started, ports.server, "ok", "library");
	rf_http_start(engine, &started, clock_us());
	dup2(saved, rf_http_epoll_fd(engine));
	run_until_finished(both, 2);
	problems += sent.end == RF_TRANSFER_AMBIGUOUS ? 0 : 1;
	problems += started.end == RF_TRANSFER_NOT_SENT ? 0 : 2;
	problems += strcmp(started.why, "the transfer library failed") == 0 ? 0 : 4;
	rf_http_release(&sent);
	rf_http_release(&started);
	request(&later, ports.server, "ok", "library");
	problems += later.response.status == 200 ? 0 : 8;
	rf_http_release(&later);
	return problems;
}

static void
test_broken_library(void)
{
	pid_t		child;
	int			status = 1;

	fflush(stdout);
	child = fork();
	if (child == 0)
		_exit(break_library());
	waitpid(child, &status, 0);
	is_int(status, 0, "when libcurl fails, transfers end by what left, and the next succeeds");
}

void
test_process(void)
{
	test_broken_library();
	test_descriptors();
	test_stopped();
	test_signals();
	test_capacity();
}
