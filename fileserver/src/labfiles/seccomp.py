"""A seccomp filter that refuses dangerous system calls, which the NFS server never needs.

Until 2023 the default filters of container runtimes refused name_to_handle_at, without which Ganesha exports nothing.
So the manifest disables the runtime's filter for the NFS server. This filter refuses the dangerous calls instead.
"""

from __future__ import annotations

import ctypes
import errno
import os

ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
REFUSED_CALLS = (
    # calls that inspect other processes, or change the kernel
    *(
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_getfd",
        "kcmp",
        "bpf",
        "perf_event_open",
        "userfaultfd",
    ),
    *(
        "init_module",
        "finit_module",
        "delete_module",
        "kexec_load",
        "kexec_file_load",
        "reboot",
        "syslog",
        "personality",
    ),
    # calls that change file systems, mounts or namespaces
    *("mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree"),
    *("mount_setattr", "unshare", "setns", "swapon", "swapoff", "quotactl", "acct"),
    # calls that access kernel keys or set the clock, and rarely used calls with a history of vulnerabilities
    *("add_key", "request_key", "keyctl", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "vhangup", "move_pages"),
)


class FilterError(Exception):
    """A failure to load the seccomp filter. The message has the reason."""


def load_filter() -> None:
    """Load a filter that refuses the system calls of `REFUSED_CALLS` in this process. The filter stays after exec.

    Raises
    ------
    FilterError
        Raised if libseccomp or the kernel rejects the filter.
    """
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    for name in REFUSED_CALLS:
        number = library.seccomp_syscall_resolve_name(name.encode())
        check_status(library.seccomp_rule_add_array(context, ctypes.c_uint32(REFUSE), number, 0, None), name)
    check_status(library.seccomp_load(context), "the filter")
    library.seccomp_release(context)


def check_status(status: int, subject: str) -> None:
    """Check the status that a function of libseccomp has returned.

    Raises
    ------
    FilterError
        Raised if the status is an error.
    """
    if status:
        raise FilterError(
            f"seccomp: cannot load {subject}: {os.strerror(-status)}, wanted a kernel with seccomp filters"
        )
