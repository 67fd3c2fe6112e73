/*
 * Library for LD_PRELOAD that makes builds reproducible: a build tool sees the same machine each
 * time, so the same source becomes the same bytes. componentize-py and componentize-qjs run the
 * plugin's start-up code and store its memory in the component (a snapshot). Without this library,
 * the snapshot would contain all that the code saw: random seeds, the time, the times and inode
 * numbers of files, the order of directory entries.
 *
 * Functions of the C library are replaced. The tools query files by system calls that bypass it, so
 * these calls are trapped (seccomp) and their results changed. Where the system does not allow
 * that, builds work, but their bytes differ.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define SOME_TIME 946684800 // 2000-01-01: later than the earliest time in zip files, earlier than any source
#define OURS 0x66726f6e64 // sixth argument of the calls made here, which are not trapped: both take fewer arguments

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
static const int registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8};
#define ARGUMENT(context, n) ((context)->uc_mcontext.gregs[registers[n]])
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#define ARGUMENT(context, n) ((context)->uc_mcontext.regs[n])
#else
#error "neither x86-64 nor aarch64"
#endif

static ssize_t fill(unsigned char *buffer, size_t length) {
  for (size_t i = 0; i < length; i++) buffer[i] = (unsigned char)(i * 37 + 11);
  return (ssize_t)length;
}

ssize_t getrandom(void *buffer, size_t length, unsigned flags) {
  (void)flags;
  return fill(buffer, length);
}

int getentropy(void *buffer, size_t length) {
  fill(buffer, length);
  return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return (int)syscall(SYS_clock_gettime, clock, now);
  *now = (struct timespec){.tv_sec = SOME_TIME};
  return 0;
}

static void level_file(struct statx *file) {
  struct statx_timestamp time = {.tv_sec = SOME_TIME};
  file->stx_atime = file->stx_btime = file->stx_ctime = file->stx_mtime = time;
  file->stx_ino = file->stx_nlink = 1;
  file->stx_dev_major = file->stx_dev_minor = 0;
  file->stx_blocks = 0;
  if (S_ISDIR(file->stx_mode)) file->stx_size = 0;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(struct dirent64 *const *)a)->d_name, (*(struct dirent64 *const *)b)->d_name);
}

// Sorts the directory entries that one call has read. All entries of each of Python's folders fit
// in one call. The allocator makes none of the trapped system calls, so it may be used here.
static void level_folder(char *read, long length) {
  size_t count = 0;
  struct dirent64 **entries = malloc((size_t)length / offsetof(struct dirent64, d_name) * sizeof *entries);
  char *sorted = malloc((size_t)length), *end = sorted;
  if (!entries || !sorted) abort();
  for (long at = 0; at < length; at += entries[count++]->d_reclen) entries[count] = (struct dirent64 *)(read + at);
  qsort(entries, count, sizeof *entries, by_name);
  for (size_t i = 0; i < count; i++) {
    entries[i]->d_ino = 1;
    end = mempcpy(end, entries[i], entries[i]->d_reclen);
  }
  memcpy(read, sorted, (size_t)length);
  free(entries), free(sorted);
}

static void trapped(int signal, siginfo_t *info, void *at) {
  (void)signal;
  int saved = errno;
  ucontext_t *context = at;
  long a[5];
  for (int i = 0; i < 5; i++) a[i] = (long)ARGUMENT(context, i);
  long result = syscall(info->si_syscall, a[0], a[1], a[2], a[3], a[4], OURS);
  if (result >= 0 && info->si_syscall == SYS_statx) level_file((struct statx *)a[4]);
  if (result > 0 && info->si_syscall == SYS_getdents64) level_folder((char *)a[1], result);
  RESULT(context) = result < 0 ? -errno : result;
  errno = saved;
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define SKIP_IF(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, n, 0)

__attribute__((constructor)) static void begin(void) {
  struct sock_filter rules[] = {
      LOAD(arch),
      SKIP_UNLESS(ARCH, 6),
      LOAD(nr),
      SKIP_IF(SYS_statx, 1),
      SKIP_UNLESS(SYS_getdents64, 3),
      LOAD(args[5]),
      SKIP_IF((uint32_t)OURS, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
  struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  sigaction(SIGSYS, &action, NULL);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
    static const char text[] = "steady.c: this system traps no calls, so the component's bytes differ from build to build\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) return;
  }
}
