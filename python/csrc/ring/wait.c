/* Waiting needs no lock. Who waits looks a while at what must change, which costs nobody a system call; then he arms
 * the bell, looks again, and sleeps. Who has changed something rings, which is a load if nobody waits. Twin of
 * ring/wait.go.
 *
 * A bell wakes only as many as can have something, and the flag is down after it. So who has slept arms again before he
 * looks, and rings for one more if he leaves something behind. A sleep is bounded for the sake of deaths alone. */
#include "internal/futex.h"
#include "ring/ring.h"

/* Bounds a sleep. A test that looks for lost wake-ups makes it long; nobody changes it while somebody waits. */
int64_t ring_max_sleep = 50000000;

/* How long who waits looks before he sleeps, in nanoseconds: about what a wake-up costs. And how often he looks from one
 * look at the clock to the next. */
enum { SPIN_NS = 20000, SPIN_LOOKS = 16 };

/* Bits of a bell's flag: somebody waits; somebody waits for room for several entries, so that a wake-up may be of no
 * use to him but of use to others. */
enum { BELL_ANY = 1, BELL_MUCH = 2 };

/* Says that somebody is about to sleep, and returns the sequence to sleep on. The caller looks once more before he
 * does: who stored something after that look sees the flag, and what was stored before it is seen. */
uint32_t bell_arm(bell b, bool much)
{
    uint32_t seq = shm_load32(b.seq);
    (void)shm_or32(b.flag, much ? BELL_MUCH : BELL_ANY);
    return seq;
}

/* Sleeps until somebody rings after bell_arm returned the sequence, at most ns, and tells whether nobody has. */
bool bell_sleep(bell b, uint32_t seq, int64_t ns)
{
    futex_wait(b.seq, seq, ns);
    return shm_load32(b.seq) == seq;
}

static void wake(bell b, int n)
{
    shm_add32(b.seq, 1);
    futex_wake(b.seq, n);
}

/* Wakes at most n, if anybody waits, and all if somebody waits for much: also if he has come meanwhile, and may have
 * had the wake-up that was another one's. The caller has stored what they wait for. A death before it leaves sleepers
 * that wake up by themselves. */
void bell_ring(bell b, int n)
{
    if (shm_load32(b.flag) == 0)
        return;
    bool much = shm_swap32(b.flag, 0) & BELL_MUCH;
    wake(b, much ? RING_ALL : n);
    if (!much && shm_load32(b.flag) & BELL_MUCH) {
        (void)shm_swap32(b.flag, 0);
        wake(b, RING_ALL);
    }
}

void bell_shake(bell b) { wake(b, RING_ALL); }

uint64_t ring_news_stamp(const ring *r)
{
    return ring_head(r) - (ring_tail(r) << 56) + ((uint64_t)ring_ends(r) << 32) + ((uint64_t)ring_is_shut(r) << 31);
}

uint64_t ring_room_stamp(const ring *r)
{
    uint64_t stamp = ring_tail(r) + ((uint64_t)ring_is_shut(r) << 31);
    for (uint32_t k = 0; k < r->n_readers; k++) {
        uint64_t pos;
        stamp += ring_reader(r, k, &pos);
        stamp += pos;
    }
    return stamp;
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Who has spun so often in vain spins only now and then, until it was of use: the other side may be slow, or on the
 * same CPU, where spinning only keeps it from running. */
enum { SPIN_VAIN = 3, SPIN_RARE = 16 };

/* Looks at a stamp for a while, at most ns, and tells whether it changed from what it was. */
bool ring_spin(const ring *r, uint64_t (*stamp)(const ring *), uint64_t was, int64_t ns, spins *s)
{
    uint32_t count = atomic_load(&s->n), vain = atomic_load(&s->vain);
    atomic_store(&s->n, count + 1);
    if (vain >= SPIN_VAIN && count % SPIN_RARE != 0)
        return stamp(r) != was;
    int64_t end = mono_time() + (ns < SPIN_NS ? ns : SPIN_NS);
    do {
        for (int n = 0; n < SPIN_LOOKS; n++) {
            if (stamp(r) != was) {
                atomic_store(&s->vain, 0);
                return true;
            }
            relax();
        }
    } while (mono_time() < end);
    atomic_store(&s->vain, vain + 1);
    return false;
}
