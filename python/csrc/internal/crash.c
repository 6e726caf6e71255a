/* The crash build's points of death. Twin of internal/shm/crash_on.go. */
#include "internal/shm.h"

#ifdef NDPOOL_CRASH

#include <signal.h>
#include <unistd.h>

/* Local: the armed crash. One operation at a time, on one thread. */
static struct {
    bool active;
    int left;  /* store after which to die; 0: never, only count */
    int count; /* stores since shm_arm */
    void (*die)(void);
} armed;

void shm_arm(int k, void (*die)(void))
{
    armed.left = k;
    armed.count = 0;
    armed.die = die;
    armed.active = true;
}

int shm_disarm(void)
{
    armed.active = false;
    return armed.count;
}

void shm_kill(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

void shm_point(void)
{
    if (!armed.active)
        return;
    if (++armed.count == armed.left)
        armed.die();
}

#else

typedef int shm_no_crash_points; /* a translation unit is not empty */

#endif
