/* Who this process is. Twin of arena/process_linux.go. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena/arena.h"

enum { COMM_BYTES = 16 };

/* Reads the command's name, NUL padded. */
static void read_comm(uint8_t comm[COMM_BYTES])
{
    memset(comm, 0, COMM_BYTES);
    int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, comm, COMM_BYTES - 1) < 0)
        memset(comm, 0, COMM_BYTES);
    close(fd);
    for (int i = 0; i < COMM_BYTES; i++) {
        if (comm[i] == '\n')
            comm[i] = 0;
    }
}

static uint64_t little_endian(const uint8_t b[8])
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)b[i] << (8 * i);
    return v;
}

/* Nothing rests on what it writes. Precondition: the caller has the slot's byte. It is called in forked children, too:
 * it takes no memory. */
void slot_describe(ndpool_slot *s)
{
    struct stat ns;
    if (stat("/proc/self/ns/pid", &ns))
        ns.st_ino = 0;
    uint8_t comm[COMM_BYTES];
    read_comm(comm);
    shm_store32(&s->pid, (uint32_t)getpid());
    shm_store32(&s->uid, (uint32_t)geteuid());
    shm_store64(&s->attached, (uint64_t)boot_time());
    shm_store64(&s->pid_ns, ns.st_ino);
    shm_store64(&s->comm[0], little_endian(comm));
    shm_store64(&s->comm[1], little_endian(comm + 8));
}
