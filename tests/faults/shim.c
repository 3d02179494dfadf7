/* A disk and a clock that fail on request, for one process, by LD_PRELOAD.
 *
 * ROOKERY_SHIM names a file that the test maps too: what is to fail, and what happened (`struct control`, mirrored in shim.py).
 * ROOKERY_SHIM_FOLDER is the folder whose files are meant. ROOKERY_SHIM_DISK, where it is set, is a folder in which the database
 * and its log are kept as the disk has them: what was written reaches it by a successful fsync only. After a failed one the pages
 * count as clean, as in the kernel: some of them have reached the disk by chance, the rest never will unless they are written
 * again. Copying that folder back is a power cut.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { READ, WRITE, SYNC, TRUNCATE, KINDS };
enum { DATABASE, LOG, OTHER, FILES, NONE };

struct fault {
    int32_t error;   /* errno; 0: none */
    int32_t files;   /* bits by file */
    int64_t after;   /* calls that pass before */
    int64_t times;   /* calls that fail; -1: all */
    int64_t calls;   /* seen so far, of these files */
    int64_t failed;  /* failed so far */
};

struct control {
    struct fault faults[KINDS];
    int64_t reused[FILES]; /* writes and fsyncs by a handle whose fsync had failed */
    int64_t clock_ms;      /* added to the wall clock */
    uint64_t chance;       /* state of the generator that picks what reached the disk */
};

struct range {
    off_t at;
    size_t length;
    struct range *next;
};

static struct control *control;
static const char *folder;
static const char *disk;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct range *dirty[2];
static unsigned char tainted[65536];

static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_close)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    real_pread = dlsym(RTLD_NEXT, "pread64");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_close = dlsym(RTLD_NEXT, "close");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    folder = getenv("ROOKERY_SHIM_FOLDER");
    disk = getenv("ROOKERY_SHIM_DISK");
    const char *path = getenv("ROOKERY_SHIM");
    int handle = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (handle < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
    real_close(handle);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static int file_of(int handle, char *name, size_t size)
{
    char link[64];
    int saved = errno;
    if (!control || !folder)
        return NONE;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, name, size - 1);
    errno = saved;
    if (length < 0)
        return NONE;
    name[length] = 0;
    if (strncmp(name, folder, strlen(folder)) != 0)
        return NONE;
    return ends_with(name, ".db") ? DATABASE : ends_with(name, ".db-wal") ? LOG : OTHER;
}

/* Whether this call is to fail; errno is set then. */
static int fails(int kind, int file)
{
    int error = 0;
    if (!control || file == NONE)
        return 0;
    pthread_mutex_lock(&lock);
    struct fault *fault = &control->faults[kind];
    if (fault->files >> file & 1) {
        fault->calls++;
        if (fault->error && fault->after > 0)
            fault->after--;
        else if (fault->error && fault->times) {
            if (fault->times > 0)
                fault->times--;
            fault->failed++;
            error = fault->error;
        }
    }
    pthread_mutex_unlock(&lock);
    if (error)
        errno = error;
    return error;
}

static void used(int handle, int file)
{
    if (file < FILES && handle < (int)sizeof tainted && tainted[handle])
        __atomic_add_fetch(&control->reused[file], 1, __ATOMIC_SEQ_CST);
}

static void wrote(int file, off_t at, size_t length)
{
    if (!disk || file > LOG)
        return;
    struct range *range = malloc(sizeof *range);
    range->at = at;
    range->length = length;
    pthread_mutex_lock(&lock);
    range->next = dirty[file];
    dirty[file] = range;
    pthread_mutex_unlock(&lock);
}

static int by_chance(void)
{
    control->chance = control->chance * 6364136223846793005u + 1442695040888963407u;
    return control->chance >> 63;
}

/* What was written goes to the disk: all of it, and the file's length; or, where the fsync failed, what chance wants. */
static void settle(int handle, int file, const char *name, int all)
{
    char path[4096];
    if (!disk || file > LOG)
        return;
    snprintf(path, sizeof path, "%s/%s", disk, strrchr(name, '/') + 1);
    int kept = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (kept < 0)
        abort();
    /* A handle that was opened for writing alone can't be read. */
    int source = open(name, O_RDONLY | O_CLOEXEC);
    pthread_mutex_lock(&lock);
    struct range *range = dirty[file];
    dirty[file] = NULL;
    while (range) {
        struct range *next = range->next;
        char *bytes = malloc(range->length);
        if (all || by_chance()) {
            ssize_t length = real_pread(source, bytes, range->length, range->at);
            if (length > 0)
                real_pwrite(kept, bytes, (size_t)length, range->at);
        }
        free(bytes);
        free(range);
        range = next;
    }
    struct stat found;
    if (all && fstat(handle, &found) == 0)
        real_ftruncate(kept, found.st_size);
    pthread_mutex_unlock(&lock);
    real_close(source);
    real_close(kept);
}

ssize_t pread64(int handle, void *bytes, size_t length, off_t at)
{
    char name[4096];
    if (fails(READ, file_of(handle, name, sizeof name)))
        return -1;
    return real_pread(handle, bytes, length, at);
}

ssize_t pread(int handle, void *bytes, size_t length, off_t at)
{
    return pread64(handle, bytes, length, at);
}

ssize_t pwrite64(int handle, const void *bytes, size_t length, off_t at)
{
    char name[4096];
    int file = file_of(handle, name, sizeof name);
    used(handle, file);
    if (fails(WRITE, file))
        return -1;
    ssize_t written = real_pwrite(handle, bytes, length, at);
    if (written > 0 && file != NONE)
        wrote(file, at, (size_t)written);
    return written;
}

ssize_t pwrite(int handle, const void *bytes, size_t length, off_t at)
{
    return pwrite64(handle, bytes, length, at);
}

static int synced(int handle, int (*real)(int))
{
    char name[4096];
    int file = file_of(handle, name, sizeof name);
    if (file == NONE)
        return real(handle);
    used(handle, file);
    if (fails(SYNC, file)) {
        int error = errno;
        if (handle < (int)sizeof tainted)
            tainted[handle] = 1;
        settle(handle, file, name, 0);
        errno = error;
        return -1;
    }
    int result = real(handle);
    if (result == 0)
        settle(handle, file, name, 1);
    return result;
}

int fsync(int handle) { return synced(handle, real_fsync); }

int fdatasync(int handle) { return synced(handle, real_fdatasync); }

int ftruncate64(int handle, off_t length)
{
    char name[4096];
    int file = file_of(handle, name, sizeof name);
    used(handle, file);
    if (fails(TRUNCATE, file))
        return -1;
    return real_ftruncate(handle, length);
}

int ftruncate(int handle, off_t length) { return ftruncate64(handle, length); }

int close(int handle)
{
    if (handle >= 0 && handle < (int)sizeof tainted)
        tainted[handle] = 0;
    return real_close ? real_close(handle) : 0;
}

static void shift(struct timespec *time)
{
    int64_t nanoseconds = time->tv_nsec + (control->clock_ms % 1000) * 1000000;
    time->tv_sec += control->clock_ms / 1000 + nanoseconds / 1000000000;
    time->tv_nsec = nanoseconds % 1000000000;
    if (time->tv_nsec < 0) {
        time->tv_nsec += 1000000000;
        time->tv_sec--;
    }
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = real_clock_gettime(clock, time);
    if (result == 0 && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        shift(time);
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where)
        *where = now.tv_sec;
    return now.tv_sec;
}
