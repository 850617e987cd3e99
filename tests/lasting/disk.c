/* What can happen between a run and its disk, put before the C library (LD_PRELOAD): the process is killed exactly here, the
 * disk is full, read-only or broken from here on. "Here" is the DISK_NTH call named DISK_CALL (open, mkdir, write, sync,
 * truncate, rename, unlink) on a path that has DISK_PATH in it (at its end, where DISK_PATH ends with $), and DISK_FOLDER, which
 * is what the trouble is confined to.
 *
 *   DISK_DOES=kill    SIGKILL before the call; a write is half done
 *             killed  SIGKILL right after it
 *             cut     the power fails before the call: files that were written and not synced lose what was added since
 *             full    this and every later write fails with ENOSPC, the first one after half of it; so does mkdir
 *             sealed  this and every later change fails with EROFS
 *             broken  this call alone fails with EIO
 *             stalled this call alone takes ten minutes
 *             clock   nothing, but from here on the clock of the machine is 400 days back
 *   DISK_TOLD         a file that gets a line once it has happened; with DISK_DOES=list, a line for every call
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int happened, counted;

static int is(const char *name, const char *value) {
  const char *set = getenv(name);
  return set && !strcmp(set, value);
}

static int within(const char *path, const char *name) {
  const char *part = getenv(name);
  size_t length = part ? strlen(part) : 0, whole = strlen(path);
  if (length == 0 || part[length - 1] != '$') return length == 0 || strstr(path, part) != NULL;
  return whole >= length - 1 && !strncmp(path + whole - (length - 1), part, length - 1);
}

static void tell(const char *call, const char *path) {
  const char *file = getenv("DISK_TOLD");
  if (!file) return;
  char line[4200];
  int length = snprintf(line, sizeof line, "%s %s\n", call, path);
  int fd = REAL(open)(file, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0 || REAL(write)(fd, line, (size_t)length) < 0) abort();
  REAL(close)(fd);
}

/* Files that were written to and not synced since: the length that is safe. */
static struct { char path[4096]; off_t safe; } unsynced[256];
static int unsynced_files;

static int unsynced_at(const char *path) {
  int at = unsynced_files;
  while (at-- > 0 && strcmp(unsynced[at].path, path)) {}
  return at;
}

static void forget(const char *path) {
  int at = unsynced_at(path);
  if (at >= 0) unsynced[at] = unsynced[--unsynced_files];
}

static void remember(const char *path, off_t safe) {
  if (unsynced_at(path) >= 0) return;
  if (unsynced_files == sizeof unsynced / sizeof *unsynced) abort();
  strcpy(unsynced[unsynced_files].path, path);
  unsynced[unsynced_files++].safe = safe;
}

/* Keeps count of what is safe, before a call that changes something. */
static void account(const char *call, const char *path, const char *to) {
  struct stat now;
  char whole[4096];
  if (!is("DISK_DOES", "cut")) return;
  if (!strcmp(call, "write") && !stat(path, &now)) remember(path, now.st_size);
  if (!strcmp(call, "open") && to && realpath(path, whole)) remember(whole, 0);
  if (!strcmp(call, "sync")) forget(path);
  if (!strcmp(call, "unlink") && realpath(path, whole)) forget(whole);
  if (!strcmp(call, "rename") && realpath(path, whole)) {
    char folder[4096], moved[8192], becomes[sizeof folder + sizeof moved];
    snprintf(folder, sizeof folder, "%s", to);
    char *name = strrchr(folder, '/');
    if (name) *name = 0;
    if (!realpath(name ? folder : ".", moved)) abort();
    snprintf(becomes, sizeof becomes, "%s/%s", moved, name ? name + 1 : to);
    forget(becomes);
    /* The file itself, or what is in the folder. */
    size_t length = strlen(whole);
    for (int at = 0; at < unsynced_files; at++) {
      char *rest = unsynced[at].path + length;
      if (strncmp(unsynced[at].path, whole, length) || (*rest && *rest != '/')) continue;
      snprintf(moved, sizeof moved, "%s", rest);
      snprintf(unsynced[at].path, sizeof unsynced[at].path, "%.3000s%.1000s", becomes, moved);
    }
  }
}

static void cut(void) {
  for (int at = 0; at < unsynced_files; at++)
    if (truncate(unsynced[at].path, unsynced[at].safe) && errno != ENOENT) abort();
  raise(SIGKILL);
}

enum fate { GOES, HALF_THEN_DIES, DIES_AFTER, HALF, NO_ROOM, SEALED, BROKEN };

/* What becomes of a call. Changing calls alone come here. */
static enum fate fate(const char *call, const char *path, const char *to) {
  if (!getenv("DISK_FOLDER") || !within(path, "DISK_FOLDER")) return GOES;
  pthread_mutex_lock(&mutex);
  const int before = happened;
  if (is("DISK_DOES", "list")) {
    tell(call, path);
  } else if (!happened && within(path, "DISK_PATH") && is("DISK_CALL", call)) {
    const char *nth = getenv("DISK_NTH");
    happened = ++counted == (nth ? atoi(nth) : 1);
    if (happened) tell(call, path);
  }
  const int now = happened;
  if (now && !before && is("DISK_DOES", "cut")) cut();
  account(call, path, to);
  pthread_mutex_unlock(&mutex);
  if (!now) return GOES;
  if (!before && is("DISK_DOES", "kill")) return HALF_THEN_DIES;
  if (!before && is("DISK_DOES", "killed")) return DIES_AFTER;
  if (!before && is("DISK_DOES", "broken")) return BROKEN;
  for (int more = 600; !before && is("DISK_DOES", "stalled") && more; more = (int)sleep((unsigned)more)) {}
  if (is("DISK_DOES", "sealed")) return SEALED;
  if (is("DISK_DOES", "full") && !strcmp(call, "write")) return before ? NO_ROOM : HALF;
  if (is("DISK_DOES", "full") && !strcmp(call, "mkdir")) return NO_ROOM;
  return GOES;
}

/* For calls that are done or not: whether it fails, with errno set. */
static int fails(enum fate of) {
  if (of == HALF_THEN_DIES) raise(SIGKILL);
  if (of == NO_ROOM || of == HALF) errno = ENOSPC;
  if (of == SEALED) errno = EROFS;
  if (of == BROKEN) errno = EIO;
  return of != GOES && of != DIES_AFTER;
}

static int after(enum fate of, int result) {
  if (of == DIES_AFTER) raise(SIGKILL);
  return result;
}

#define PATH_OF(fd) \
  char path[4096], link[64]; \
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd); \
  ssize_t path_length = readlink(link, path, sizeof path - 1); \
  path[path_length < 0 ? 0 : path_length] = 0

#define OPEN(name, ...) \
  mode_t mode = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list more; \
    va_start(more, flags); \
    mode = va_arg(more, mode_t); \
    va_end(more); \
  } \
  enum fate of = flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR) ? fate("open", file, flags & O_TRUNC ? file : NULL) : GOES; \
  return fails(of) ? -1 : after(of, REAL(name)(__VA_ARGS__))

int open(const char *file, int flags, ...) { OPEN(open, file, flags, mode); }
int open64(const char *file, int flags, ...) { OPEN(open64, file, flags, mode); }
int openat(int at, const char *file, int flags, ...) { OPEN(openat, at, file, flags, mode); }
int openat64(int at, const char *file, int flags, ...) { OPEN(openat64, at, file, flags, mode); }

#define WRITE(name, ...) \
  PATH_OF(fd); \
  enum fate of = fate("write", path, NULL); \
  if (of == HALF_THEN_DIES || of == HALF) { \
    size_t whole = length; \
    length /= 2; \
    ssize_t half = REAL(name)(__VA_ARGS__); \
    if (of == HALF_THEN_DIES) raise(SIGKILL); \
    if (half > 0 || whole == 0) return half; \
  } \
  if (fails(of)) return -1; \
  ssize_t written = REAL(name)(__VA_ARGS__); \
  if (of == DIES_AFTER) raise(SIGKILL); \
  return written

ssize_t write(int fd, const void *bytes, size_t length) { WRITE(write, fd, bytes, length); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { WRITE(pwrite, fd, bytes, length, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { WRITE(pwrite64, fd, bytes, length, at); }

#define BY_FD(call, ...) \
  PATH_OF(fd); \
  enum fate of = fate(call, path, NULL); \
  if (fails(of)) return -1; \
  return after(of, __VA_ARGS__)

int fsync(int fd) { BY_FD("sync", REAL(fsync)(fd)); }
int fdatasync(int fd) { BY_FD("sync", REAL(fdatasync)(fd)); }
int ftruncate(int fd, off_t length) { BY_FD("truncate", REAL(ftruncate)(fd, length)); }
int ftruncate64(int fd, off64_t length) { BY_FD("truncate", REAL(ftruncate64)(fd, length)); }

#define BY_PATH(call, to, ...) \
  enum fate of = fate(call, file, to); \
  if (fails(of)) return -1; \
  return after(of, __VA_ARGS__)

int rename(const char *file, const char *to) { BY_PATH("rename", to, REAL(rename)(file, to)); }
int unlink(const char *file) { BY_PATH("unlink", NULL, REAL(unlink)(file)); }
int mkdir(const char *file, mode_t mode) { BY_PATH("mkdir", NULL, REAL(mkdir)(file, mode)); }

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = REAL(clock_gettime)(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME && happened && is("DISK_DOES", "clock")) now->tv_sec -= 400L * 24 * 3600;
  return result;
}
