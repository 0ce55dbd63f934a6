/* Records what a process does to the files below one directory, in order and with its data: LD_PRELOAD takes the calls.
 *
 * crash_begin() names the directory and the journal, crash_mark() writes a line of the test's own between the
 * operations, crash_room() and crash_refuse() let the disk fail. A record of the journal is a type, the lengths of two
 * texts, two numbers, and the texts; tests/crashes/journal.py reads it. A call that changes files in a way that is not
 * recorded here leaves a record '!', which the reader refuses.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FILES 4096
#define JOURNAL_FD 900 /* out of the way, and below the usual limit of 1,024 open files */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char root[PATH_MAX];
static size_t root_length;
static pid_t owner; /* a child must not write into the journal */
static int journal = -1;
static int refusal;     /* errno of every change, or 0 */
static long room = -1;  /* bytes by which files may still grow; -1: any number */
static char is_ours[MAX_FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int active(void) { return journal >= 0 && getpid() == owner; }

static int below_root(const char *path) {
    return active() && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static int ours(int fd) { return fd >= 0 && fd < MAX_FILES && is_ours[fd] && active(); }

static const char *inside(const char *path) {
    path += root_length;
    return *path == '/' ? path + 1 : path;
}

static void record(char type, const void *a, size_t a_size, const void *b, size_t b_size, uint64_t x, uint64_t y) {
    struct __attribute__((packed)) { char type; uint32_t a, b; uint64_t x, y; } head = {type, a_size, b_size, x, y};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)a, a_size}, {(void *)b, b_size}};
    ssize_t size = sizeof head + a_size + b_size;
    if (REAL(writev)(journal, parts, 3) != size)
        abort();
}

static void record_path(char type, const char *path, uint64_t x, uint64_t y) {
    record(type, inside(path), strlen(inside(path)), NULL, 0, x, y);
}

static void unsupported(const char *name) { record('!', name, strlen(name), NULL, 0, 0, 0); }

/* For the test. */

int crash_begin(const char *directory, const char *file) {
    int fd = REAL(open64)(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    journal = fcntl(fd, F_DUPFD_CLOEXEC, JOURNAL_FD);
    REAL(close)(fd);
    strcpy(root, directory);
    root_length = strlen(root);
    memset(is_ours, 0, sizeof is_ours);
    owner = getpid();
    return journal;
}

void crash_end(void) {
    REAL(close)(journal);
    journal = -1;
}

void crash_mark(const char *text, size_t size) {
    pthread_mutex_lock(&lock);
    record('#', text, size, NULL, 0, 0, 0);
    pthread_mutex_unlock(&lock);
}

void crash_refuse(int error) { refusal = error; }

void crash_room(long bytes) { room = bytes; }

/* Whether a change fails now; growth is in bytes, negative where space becomes free. */
static int fails(long growth) {
    if (refusal) {
        errno = refusal;
        return 1;
    }
    if (room >= 0 && growth > room) {
        errno = ENOSPC;
        return 1;
    }
    if (room >= 0)
        room -= growth;
    return 0;
}

static long size_of(int fd) {
    struct stat64 found;
    return fstat64(fd, &found) == 0 ? found.st_size : 0;
}

/* Files. */

static int opened(const char *path, int flags, mode_t mode) {
    struct stat64 found;
    if (!below_root(path))
        return REAL(open64)(path, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = stat64(path, &found) == 0;
    int created = !existed && (flags & O_CREAT), emptied = existed && (flags & O_TRUNC);
    int fd = -1;
    if (!((created || emptied) && fails(emptied ? -found.st_size : 0)))
        fd = REAL(open64)(path, flags, mode);
    if (fd >= MAX_FILES)
        abort();
    if (fd >= 0) {
        is_ours[fd] = 1;
        int directory = fstat64(fd, &found) == 0 && S_ISDIR(found.st_mode);
        record_path('O', path, fd, created | emptied << 1 | directory << 2);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                        \
        va_end(rest);                                                                                                  \
        return opened(path, flags, mode);                                                                              \
    }
OPEN(open)
OPEN(open64)
int __open_2(const char *path, int flags) { return opened(path, flags, 0); }
int __open64_2(const char *path, int flags) { return opened(path, flags, 0); }

int close(int fd) {
    if (!ours(fd))
        return REAL(close)(fd);
    pthread_mutex_lock(&lock);
    is_ours[fd] = 0;
    record('C', NULL, 0, NULL, 0, fd, 0);
    int result = REAL(close)(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static ssize_t written(int fd, const void *data, size_t size, off64_t at, int positioned) {
    pthread_mutex_lock(&lock);
    if (!positioned)
        at = fcntl(fd, F_GETFL) & O_APPEND ? size_of(fd) : lseek64(fd, 0, SEEK_CUR);
    long growth = at + (long)size - size_of(fd);
    ssize_t result = -1;
    if (!fails(growth > 0 ? growth : 0))
        result = positioned ? REAL(pwrite64)(fd, data, size, at) : REAL(write)(fd, data, size);
    if (result > 0)
        record('W', data, result, NULL, 0, fd, at);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t write(int fd, const void *data, size_t size) {
    return ours(fd) ? written(fd, data, size, 0, 0) : REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return ours(fd) ? written(fd, data, size, at, 1) : REAL(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return ours(fd) ? written(fd, data, size, at, 1) : REAL(pwrite64)(fd, data, size, at);
}

static int resized(int fd, off64_t size) {
    pthread_mutex_lock(&lock);
    int result = fails(size - size_of(fd)) ? -1 : REAL(ftruncate64)(fd, size);
    if (result == 0)
        record('T', NULL, 0, NULL, 0, fd, size);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t size) { return ours(fd) ? resized(fd, size) : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return ours(fd) ? resized(fd, size) : REAL(ftruncate64)(fd, size); }

static int allocated(int fd, off64_t at, off64_t size) {
    pthread_mutex_lock(&lock);
    long growth = at + size - size_of(fd);
    int result = fails(growth > 0 ? growth : 0) ? errno : REAL(posix_fallocate64)(fd, at, size);
    if (result == 0)
        record('F', NULL, 0, NULL, 0, fd, at + size);
    pthread_mutex_unlock(&lock);
    return result;
}

int posix_fallocate(int fd, off_t at, off_t size) {
    return ours(fd) ? allocated(fd, at, size) : REAL(posix_fallocate)(fd, at, size);
}

int posix_fallocate64(int fd, off64_t at, off64_t size) {
    return ours(fd) ? allocated(fd, at, size) : REAL(posix_fallocate64)(fd, at, size);
}

static int synced(int fd, int (*real)(int)) {
    pthread_mutex_lock(&lock);
    int result = fails(0) ? -1 : real(fd);
    if (result == 0)
        record('S', NULL, 0, NULL, 0, fd, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) { return ours(fd) ? synced(fd, REAL(fsync)) : REAL(fsync)(fd); }
int fdatasync(int fd) { return ours(fd) ? synced(fd, REAL(fdatasync)) : REAL(fdatasync)(fd); }

/* Names. */

static long size_at(const char *path) {
    struct stat64 found;
    return stat64(path, &found) == 0 ? found.st_size : 0;
}

int rename(const char *from, const char *to) {
    if (!below_root(from) && !below_root(to))
        return REAL(rename)(from, to);
    pthread_mutex_lock(&lock);
    int result = fails(-size_at(to)) ? -1 : REAL(rename)(from, to);
    if (result == 0)
        record('R', inside(from), strlen(inside(from)), inside(to), strlen(inside(to)), 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path) {
    if (!below_root(path))
        return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    int result = fails(-size_at(path)) ? -1 : REAL(unlink)(path);
    if (result == 0)
        record_path('U', path, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    if (!below_root(path))
        return REAL(mkdir)(path, mode);
    pthread_mutex_lock(&lock);
    int result = fails(0) ? -1 : REAL(mkdir)(path, mode);
    if (result == 0)
        record_path('M', path, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

/* What nothing here has used so far. */

#define REFUSED_PATH(name, type, arguments, ...)                                                                       \
    type name arguments {                                                                                              \
        if (below_root(path))                                                                                          \
            unsupported(#name);                                                                                        \
        return REAL(name)(__VA_ARGS__);                                                                                \
    }
REFUSED_PATH(rmdir, int, (const char *path), path)
REFUSED_PATH(truncate, int, (const char *path, off_t size), path, size)
REFUSED_PATH(truncate64, int, (const char *path, off64_t size), path, size)
REFUSED_PATH(link, int, (const char *path, const char *to), path, to)
REFUSED_PATH(symlink, int, (const char *to, const char *path), to, path)

#define REFUSED_FILE(name, type, arguments, ...)                                                                       \
    type name arguments {                                                                                              \
        if (ours(fd))                                                                                                  \
            unsupported(#name);                                                                                        \
        return REAL(name)(__VA_ARGS__);                                                                                \
    }
REFUSED_FILE(writev, ssize_t, (int fd, const struct iovec *parts, int count), fd, parts, count)
REFUSED_FILE(pwritev, ssize_t, (int fd, const struct iovec *parts, int count, off_t at), fd, parts, count, at)
REFUSED_FILE(fallocate, int, (int fd, int mode, off_t at, off_t size), fd, mode, at, size)
REFUSED_FILE(fallocate64, int, (int fd, int mode, off64_t at, off64_t size), fd, mode, at, size)

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset) {
    if (ours(fd) && (protection & PROT_WRITE) && (flags & MAP_SHARED))
        unsupported("mmap");
    return REAL(mmap64)(at, size, protection, flags, fd, offset);
}
