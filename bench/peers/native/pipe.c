/* Floor: a bare pipe of 1 MiB. A hand-over writes the bytes, which the other process reads into private memory and sums;
 * a pass is 16 bytes and one back, whatever the size. */
#include "children.h"
#include "content.h"

static void fill_pipe(int fd, const char *data, uint64_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, data, n);
        if (k <= 0)
            die("write: %s", strerror(errno));
        data += k;
        n -= (uint64_t)k;
    }
}

static void round_(child *c, uint64_t *data, uint64_t bytes, uint64_t round)
{
    int64_t began = now();
    data[0] = round;
    fill_pipe(c->to, (const char *)data, bytes);
    uint8_t b = answer_of(c);
    sample((double)(now() - began) / 1e3);
    if (b != (uint8_t)round)
        die("answer %d (want %d)", b, (uint8_t)round);
}

static void rounds(uint64_t bytes, const char *role, size_t at_least)
{
    child c;
    uint64_t round = 0, *data = new_source(bytes);
    find_place();
    start_all(&c, 1, role);
    fcntl(c.to, F_SETPIPE_SZ, 1 << 20); /* a smaller one works too */
    for (int64_t until = now() + budget(0.2); more(until, 1);)
        round_(&c, data, bytes, ++round);
    n_samples = 0;
    for (int64_t until = now() + budget(1); more(until, at_least);)
        round_(&c, data, bytes, ++round);
    finish(&c);
}

static void handover(void)
{
    check_size();
    rounds(opt.size, "reader", 3);
}

static void pass(void) { rounds(16, "looker", 10); }

static void reader(void)
{
    uint64_t *data = new_source(opt.size);
    for (answer(0); get_bytes(IN, data, opt.size);)
        answer(read_all(data, opt.size));
}

static void looker(void)
{
    uint64_t data[2];
    for (answer(0); get_bytes(IN, data, sizeof data);)
        answer(read_first(data));
}

static void version(void) { puts("kernel's"); }

static const role roles[] = {{"reader", reader}, {"looker", looker}, {NULL, NULL}};
static const workload workloads[] = {{"handover", handover}, {"pass", pass}, {NULL, NULL}};

int main(int argc, char **argv) { return parent_and_child_main(argc, argv, workloads, roles, version); }
