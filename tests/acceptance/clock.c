/* Moves the calendar of a process by CLOCK_OFFSET_SECS (a number of seconds, negative for the past), and nothing else: what
 * measures durations (CLOCK_MONOTONIC, sleeps, time-outs) stays as it is, so leases and time-outs keep their length.
 *
 * With CLOCK_SPEED (a whole number), durations and Python's time.sleep go so many times as fast, and the calendar does not.
 *
 * Loaded with LD_PRELOAD. libfaketime does this and more, but the version in Debian 12 makes Python's time.sleep fail
 * (clock_nanosleep with an absolute monotonic time answers EINVAL).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_clock_nanosleep)(clockid_t, int, const struct timespec *, struct timespec *);
static time_t offset;
static long long speed = 1;
static struct timespec origin; /* Since when durations are sped up. */

__attribute__((constructor)) static void start(void)
{
    const char *given = getenv("CLOCK_OFFSET_SECS");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_clock_nanosleep = dlsym(RTLD_NEXT, "clock_nanosleep");
    offset = given ? (time_t)strtoll(given, NULL, 10) : 0;
    given = getenv("CLOCK_SPEED");
    speed = given && atoll(given) > 0 ? atoll(given) : 1;
    real_clock_gettime(CLOCK_MONOTONIC, &origin);
}

static int is_calendar(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

/* The instant that lies times/by as far from the origin. */
static struct timespec scaled(struct timespec at, long long times, long long by)
{
    long long nanos = ((long long)at.tv_sec - origin.tv_sec) * 1000000000LL + at.tv_nsec - origin.tv_nsec;
    nanos = nanos * times / by + origin.tv_nsec;
    at.tv_sec = origin.tv_sec + (time_t)(nanos / 1000000000LL);
    at.tv_nsec = nanos % 1000000000LL;
    return at;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed;
    if (!real_clock_gettime) /* Called by another library's constructor, before ours. */
        start();
    failed = real_clock_gettime(clock, now);
    if (!failed && is_calendar(clock))
        now->tv_sec += offset;
    else if (!failed && clock == CLOCK_MONOTONIC && speed > 1)
        *now = scaled(*now, speed, 1);
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return (time_t)-1;
    if (kept)
        *kept = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, now) ? base : 0;
}

/* Sleeps until an instant: the kernel knows only the real one. */
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left)
{
    struct timespec moved = *until;
    if (!real_clock_nanosleep)
        start();
    if (is_calendar(clock) && (flags & TIMER_ABSTIME))
        moved.tv_sec -= offset;
    else if (clock == CLOCK_MONOTONIC && (flags & TIMER_ABSTIME) && speed > 1)
        moved = scaled(moved, 1, speed);
    return real_clock_nanosleep(clock, flags, &moved, left);
}
