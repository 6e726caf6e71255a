/* What this process has open of rings, and how its threads wait at them. Twin of pool/ringref.go. */
#include "internal/errors.h"
#include "internal/futex.h"
#include "pool/pool.h"

void pool_open_role(ndpool *p)
{
    atomic_fetch_add(&p->roles, 1);
    atomic_fetch_add(&p->pins, 1);
}

void pool_close_role(ndpool *p)
{
    atomic_fetch_sub(&p->roles, 1);
    pool_unpin(p);
}

/* ---- waiting */

/* Those are dead beyond doubt who do not live under the lock: who comes to a slot later sweeps it first. */
int pool_bury_roles(ndpool *p, const ring *r)
{
    if (ring_all_alive(r, p->arena))
        return NDPOOL_OK;
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    (void)ring_sweep_dead(r, p->arena);
    pool_unlock(p);
    pool_sweep_sometimes(p);
    return NDPOOL_OK;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* How often who waits tries again at most before it arms the bell, which costs who brings something a system call. What
 * it looks at changes more than once for each thing that comes, and others may be faster. */
enum { LOOKS = 16 };

/* Tries, and looks for a while whether it should again. */
static int try_awake(waiting *w, int64_t ns)
{
    int status = w->try(w, false);
    for (int n = 0; n < LOOKS && status == STATUS_NOTHING && w->at.head; n++) {
        if (!ring_spin(&w->at, w->stamp, w->was, ns, w->spins))
            break;
        status = w->try(w, false);
    }
    return status;
}

/* The bell is armed before each try but the first, also before that in which somebody gives up who has slept: what
 * comes after it wakes another one. Each sleep is outside of the step, so that neither a close nor a fork waits for it;
 * the caller's reference to the ring keeps the mapping. If there is no ring yet nothing may, so that its step arms, and
 * a sleep on memory that is gone ends. */
int pool_wait(waiting *w)
{
    if (w->wait == 0)
        return w->try(w, false);
    int64_t end = w->wait > 0 ? mono_time() + w->wait : INT64_MAX, asked = 0;
    bool slept = false;
    int status = try_awake(w, w->wait > 0 ? w->wait : INT64_MAX);
    while (status == STATUS_NOTHING) {
        const ring at = w->at;
        bell b = {0};
        uint32_t seq = 0;
        if (at.head) {
            b = w->bell(&at);
            seq = bell_arm(b, w->much);
        }
        status = w->try(w, slept);
        if (status != STATUS_NOTHING || at.head != w->at.head)
            continue;
        int64_t now = mono_time();
        if (asked == 0)
            asked = now;
        if (now >= end)
            break;
        if (w->go_on && now - asked >= RING_LOOK) {
            asked = now;
            if (!w->go_on(w->arg))
                break;
        }
        if (at.head)
            (void)bell_sleep(b, seq, least(ring_max_sleep, end - now));
        else
            futex_wait(w->absent.seq, w->seq, least(ring_max_sleep, end - now));
        slept = true;
    }
    if (slept && w->one && status != NDPOOL_OK && w->at.head)
        bell_ring(w->bell(&w->at), 1);
    return status;
}
