/* Counts the calls of a process that change files below one folder, and strikes at the n-th.

   Loaded with LD_PRELOAD; see shim.py. It is armed by the environment when a process starts
   (SHIM_FOLDER, SHIM_MODE, SHIM_AT, SHIM_LOG) or by shim_arm() in one that runs already.

   Modes: 1 only counts; 2 kills before the call; 3 lets half of a write through and kills;
   4 refuses with ENOSPC from the call on whatever takes space; 5 refuses this one call with EIO;
   6 lets half of this one write through. With a log, each call that was let through is written
   to it: how many bytes it has and what they are stands at `record`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 1, KILL, TORN, FULL, BROKEN, SHORT };
enum { CREATE = 1, WRITE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, TRUNCATE, LINK, SYNC_FOLDER };
enum { GO, HALF, HALF_THEN_KILL, REFUSE };

static char folder[4096];
static size_t folder_length;
static int mode, log_fd = -1;
static long strike_at, calls;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ({ static __typeof__(&name) f; if (!f) f = dlsym(RTLD_NEXT, #name); f; })

long shim_calls(void) { return calls; }

void shim_arm(const char *path, int how, long at, const char *log_path) {
    log_fd = -1;
    calls = 0;
    strike_at = at;
    folder_length = strlen(path);
    memcpy(folder, path, folder_length + 1);
    if (log_path && *log_path)
        log_fd = syscall(SYS_openat, AT_FDCWD, log_path,
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    mode = how;
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("SHIM_FOLDER"), *how = getenv("SHIM_MODE");
    if (path && how)
        shim_arm(path, atoi(how), atol(getenv("SHIM_AT")), getenv("SHIM_LOG"));
}

static int below(const char *path) {
    return mode && strncmp(path, folder, folder_length) == 0 &&
           (path[folder_length] == '/' || !path[folder_length]);
}

/* The absolute path of a name; what "." and links make of it does not matter here. */
static const char *absolute(int at, const char *name, char *into) {
    if (*name == '/') {
        snprintf(into, 4096, "%s", name);
        return into;
    }
    char base[2048];
    if (at == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return "";
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t n = readlink(link, base, sizeof base - 1);
        if (n < 0) return "";
        base[n] = 0;
    }
    snprintf(into, 4096, "%s/%s", base, name);
    return into;
}

static const char *path_of(int fd, char *into) {
    char link[64];
    if (!mode) return "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, into, 4095);
    if (n < 0) return "";
    into[n] = 0;
    return into;
}

static void put(const void *data, size_t n) {
    const char *at = data;
    while (n) {
        ssize_t done = syscall(SYS_write, log_fd, at, n);
        if (done <= 0) abort();
        at += done;
        n -= done;
    }
}

/* u32 kind, u32 length of the first path, u32 of the second, u32 length of the data, u64 inode,
   u64 offset or size; then both paths and the data. */
static void record(int kind, const char *one, const char *two, uint64_t inode, uint64_t offset,
                   const void *data, size_t n) {
    if (log_fd < 0) return;
    uint32_t head[4] = {kind, strlen(one), strlen(two), n};
    uint64_t tail[2] = {inode, offset};
    int kept = errno;
    put(head, sizeof head);
    put(tail, sizeof tail);
    put(one, head[1]);
    put(two, head[2]);
    put(data, n);
    errno = kept;
}

/* What is to become of this call. */
static int verdict(int kind, size_t n, int grows) {
    long number = ++calls;
    if (number < strike_at || mode == COUNT || !strike_at) return GO;
    if (mode == FULL && grows) {
        errno = ENOSPC;
        return REFUSE;
    }
    if (number > strike_at) return GO;
    if (mode == BROKEN) {
        errno = EIO;
        return REFUSE;
    }
    if (mode == SHORT) return kind == WRITE && n > 1 ? HALF : GO;
    if (mode == TORN && kind == WRITE && n > 1) return HALF_THEN_KILL;
    if (mode == KILL || mode == TORN) syscall(SYS_kill, getpid(), SIGKILL);
    return GO;
}

static uint64_t inode_of(int fd) {
    struct stat s;
    return fstat(fd, &s) ? 0 : s.st_ino;
}

static int opened(int at, const char *name, int flags, mode_t permissions) {
    char path[4096];
    if (!(flags & (O_CREAT | O_TRUNC)) || !below(absolute(at, name, path)))
        return syscall(SYS_openat, at, name, flags, permissions);
    struct stat s;
    int is_new = stat(path, &s) != 0;
    int empties = !is_new && (flags & O_TRUNC) && s.st_size;
    if (!(is_new && flags & O_CREAT) && !empties)
        return syscall(SYS_openat, at, name, flags, permissions);
    pthread_mutex_lock(&lock);
    int fd = -1, kind = is_new ? CREATE : TRUNCATE;
    if (verdict(kind, 0, is_new) == GO) {
        fd = syscall(SYS_openat, at, name, flags, permissions);
        if (fd >= 0) record(kind, path, "", inode_of(fd), 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name) \
    va_list more; va_start(more, name); mode_t permissions = va_arg(more, mode_t); va_end(more);

int open(const char *name, int flags, ...) {
    OPEN(flags) return opened(AT_FDCWD, name, flags, permissions);
}
int open64(const char *name, int flags, ...) {
    OPEN(flags) return opened(AT_FDCWD, name, flags | O_LARGEFILE, permissions);
}
int openat(int at, const char *name, int flags, ...) {
    OPEN(flags) return opened(at, name, flags, permissions);
}
int openat64(int at, const char *name, int flags, ...) {
    OPEN(flags) return opened(at, name, flags | O_LARGEFILE, permissions);
}
int creat(const char *name, mode_t permissions) {
    return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, permissions);
}

static ssize_t put_bytes(int fd, const void *data, size_t n, off_t at, int has_place) {
    return has_place ? syscall(SYS_pwrite64, fd, data, n, at) : syscall(SYS_write, fd, data, n);
}

static ssize_t written(int fd, const void *data, size_t n, off_t at, int has_place) {
    char path[4096];
    if (!below(path_of(fd, path))) return put_bytes(fd, data, n, at, has_place);
    pthread_mutex_lock(&lock);
    ssize_t done = -1;
    struct stat s;
    fstat(fd, &s);
    int appends = fcntl(fd, F_GETFL) & O_APPEND;
    off_t place = appends ? s.st_size : has_place ? at : lseek(fd, 0, SEEK_CUR);
    int what = verdict(WRITE, n, 1);
    if (what != REFUSE) {
        done = put_bytes(fd, data, what == GO ? n : n / 2, at, has_place);
        if (done >= 0) record(WRITE, path, "", s.st_ino, place, data, done);
        if (what == HALF_THEN_KILL) syscall(SYS_kill, getpid(), SIGKILL);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *data, size_t n) { return written(fd, data, n, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return written(fd, data, n, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) {
    return written(fd, data, n, at, 1);
}

static ssize_t gathered(int fd, const struct iovec *parts, int count, off_t at, int has_place) {
    size_t n = 0, filled = 0;
    for (int i = 0; i < count; i++) n += parts[i].iov_len;
    char *all = malloc(n ? n : 1);
    for (int i = 0; i < count; filled += parts[i++].iov_len)
        memcpy(all + filled, parts[i].iov_base, parts[i].iov_len);
    ssize_t done = written(fd, all, n, at, has_place);
    free(all);
    return done;
}
ssize_t writev(int fd, const struct iovec *parts, int n) { return gathered(fd, parts, n, 0, 0); }
ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at) {
    return gathered(fd, parts, n, at, 1);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int n, off_t at) {
    return gathered(fd, parts, n, at, 1);
}

/* Copies between files go through a buffer, so that they are writes like the others. */
static ssize_t copied(int from, off_t *at, int to, size_t n) {
    char part[65536];
    size_t most = n < sizeof part ? n : sizeof part;
    ssize_t got = at ? pread(from, part, most, *at) : read(from, part, most);
    if (got <= 0) return got;
    ssize_t done = written(to, part, got, 0, 0);
    if (at && done > 0) *at += done;
    return done;
}
ssize_t sendfile(int to, int from, off_t *at, size_t n) {
    char path[4096];
    return below(path_of(to, path)) ? copied(from, at, to, n) : REAL(sendfile)(to, from, at, n);
}
ssize_t sendfile64(int to, int from, off_t *at, size_t n) { return sendfile(to, from, at, n); }
ssize_t copy_file_range(int from, off_t *at, int to, off_t *there, size_t n, unsigned flags) {
    char path[4096];
    if (!below(path_of(to, path)) || there)
        return REAL(copy_file_range)(from, at, to, there, n, flags);
    return copied(from, at, to, n);
}

static int synced(int fd, int number) {
    char path[4096];
    if (!below(path_of(fd, path))) return syscall(number, fd);
    pthread_mutex_lock(&lock);
    struct stat s;
    fstat(fd, &s);
    int kind = S_ISDIR(s.st_mode) ? SYNC_FOLDER : SYNC, failed = -1;
    if (verdict(kind, 0, 0) == GO) {
        failed = syscall(number, fd);
        if (!failed) record(kind, path, "", s.st_ino, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return failed;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int truncated(int fd, off_t size) {
    char path[4096];
    struct stat s;
    if (!below(path_of(fd, path)) || fstat(fd, &s) || s.st_size == size)
        return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    int failed = -1;
    if (verdict(TRUNCATE, 0, size > s.st_size) == GO) {
        failed = syscall(SYS_ftruncate, fd, size);
        if (!failed) record(TRUNCATE, path, "", s.st_ino, size, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return failed;
}
int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off_t size) { return truncated(fd, size); }
static int allocated(int fd, off_t end) {
    struct stat s;
    return fstat(fd, &s) == 0 && s.st_size < end ? truncated(fd, end) : 0;
}
int fallocate(int fd, int how, off_t at, off_t n) {
    char path[4096];
    return below(path_of(fd, path)) && !how ? allocated(fd, at + n) : REAL(fallocate)(fd, how, at, n);
}
int posix_fallocate(int fd, off_t at, off_t n) { return allocated(fd, at + n) ? errno : 0; }

static int moved(int from, const char *one, int to, const char *two, unsigned flags) {
    char source[4096], target[4096];
    absolute(from, one, source);
    if (!below(absolute(to, two, target)) && !below(source))
        return syscall(SYS_renameat2, from, one, to, two, flags);
    pthread_mutex_lock(&lock);
    int failed = -1;
    if (verdict(RENAME, 0, 0) == GO) {
        failed = syscall(SYS_renameat2, from, one, to, two, flags);
        if (!failed) record(RENAME, source, target, 0, flags, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return failed;
}
int rename(const char *one, const char *two) { return moved(AT_FDCWD, one, AT_FDCWD, two, 0); }
int renameat(int from, const char *one, int to, const char *two) {
    return moved(from, one, to, two, 0);
}
int renameat2(int from, const char *one, int to, const char *two, unsigned flags) {
    return moved(from, one, to, two, flags);
}

static int removed(int at, const char *name, int flags) {
    char path[4096];
    struct stat s;
    if (!below(absolute(at, name, path)) || lstat(path, &s)) /* what is gone changes nothing */
        return syscall(SYS_unlinkat, at, name, flags);
    pthread_mutex_lock(&lock);
    int failed = -1, kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
    if (verdict(kind, 0, 0) == GO) {
        failed = syscall(SYS_unlinkat, at, name, flags);
        if (!failed) record(kind, path, "", 0, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return failed;
}
int unlink(const char *name) { return removed(AT_FDCWD, name, 0); }
int unlinkat(int at, const char *name, int flags) { return removed(at, name, flags); }
int rmdir(const char *name) { return removed(AT_FDCWD, name, AT_REMOVEDIR); }

static int made(int at, const char *name, mode_t permissions) {
    char path[4096];
    struct stat s;
    if (!below(absolute(at, name, path)) || !stat(path, &s))
        return syscall(SYS_mkdirat, at, name, permissions);
    pthread_mutex_lock(&lock);
    int failed = -1;
    if (verdict(MKDIR, 0, 1) == GO) {
        failed = syscall(SYS_mkdirat, at, name, permissions);
        if (!failed) record(MKDIR, path, "", 0, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return failed;
}
int mkdir(const char *name, mode_t permissions) { return made(AT_FDCWD, name, permissions); }
int mkdirat(int at, const char *name, mode_t permissions) { return made(at, name, permissions); }

static int linked(int from, const char *one, int to, const char *two, int flags) {
    char source[4096], target[4096];
    if (!below(absolute(to, two, target))) return syscall(SYS_linkat, from, one, to, two, flags);
    pthread_mutex_lock(&lock);
    int failed = -1;
    if (verdict(LINK, 0, 1) == GO) {
        failed = syscall(SYS_linkat, from, one, to, two, flags);
        if (!failed) record(LINK, absolute(from, one, source), target, 0, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return failed;
}
int link(const char *one, const char *two) { return linked(AT_FDCWD, one, AT_FDCWD, two, 0); }
int linkat(int from, const char *one, int to, const char *two, int flags) {
    return linked(from, one, to, two, flags);
}
