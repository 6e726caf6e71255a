/* Floor of a hand-over: to copy into memory that was used before, and to read all of it, in one process. */
#include "content.h"

static void round_(uint64_t *to, uint64_t *source, uint64_t round)
{
    int64_t began = now();
    source[0] = round;
    memcpy(to, source, opt.size);
    escape(to);
    uint8_t b = read_all(to, opt.size);
    sample((double)(now() - began) / 1e3);
    if (b != (uint8_t)round)
        die("answer %d (want %d)", b, (uint8_t)round);
}

static void handover(void)
{
    uint64_t round = 0;
    check_size();
    uint64_t *source = new_source(opt.size), *to = new_source(opt.size);
    for (int64_t until = now() + budget(0.2); more(until, 1);)
        round_(to, source, ++round);
    n_samples = 0;
    for (int64_t until = now() + budget(1); more(until, 3);)
        round_(to, source, ++round);
}

static void version(void) { puts("C library's"); }

static const workload workloads[] = {{"handover", handover}, {NULL, NULL}};

int main(int argc, char **argv) { return bench_main(argc, argv, workloads, version); }
