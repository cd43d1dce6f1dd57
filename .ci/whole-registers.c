/*
 * For the machine of nfs-client, which is a user-mode Linux, on a processor whose registers it does not know all
 * (Intel's AMX): it gives a process back the part that it has read, and the kernel takes only a whole set. To be
 * preloaded: what is given is completed by what the process has.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

static long (*libc_ptrace)(enum __ptrace_request, pid_t, void *, void *);
/* Not on the stack, which is a small one of that kernel's. */
static char registers[1 << 16] __attribute__((aligned(64)));

__attribute__((constructor)) static void find_ptrace(void)
{
    libc_ptrace = dlsym(RTLD_NEXT, "ptrace");
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list rest;
    va_start(rest, request);
    pid_t pid = va_arg(rest, pid_t);
    void *kind = va_arg(rest, void *);
    void *data = va_arg(rest, void *);
    va_end(rest);

    struct iovec whole = {registers, sizeof registers}, *given = data;
    if (request == PTRACE_SETREGSET && kind == (void *)NT_X86_XSTATE &&
        libc_ptrace(PTRACE_GETREGSET, pid, kind, &whole) == 0 && given->iov_len < whole.iov_len) {
        memcpy(registers, given->iov_base, given->iov_len);
        data = &whole;
    }
    return libc_ptrace(request, pid, kind, data);
}
