"""System calls that the NFS server never needs are refused to it, by a filter of its own.

Container runtimes have one too, but until 2023 theirs refused name_to_handle_at, without which nothing can be exported.
So the manifest turns that one off for the server, and this takes its place: it refuses what the runtimes' do.
"""

from __future__ import annotations

import ctypes
import errno
import os

ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
REFUSED = (
    # other processes, and the kernel itself
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
    # file systems and namespaces
    *("mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree"),
    *("mount_setattr", "unshare", "setns", "swapon", "swapoff", "quotactl", "acct"),
    # keys, the clock, what is seldom used and often broken
    *("add_key", "request_key", "keyctl", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "vhangup", "move_pages"),
)


class ConfineError(Exception):
    """The kernel does not take the filter; the message says why."""


def confine() -> None:
    """Refuse these calls to this process and to all that it becomes; nothing takes that back.

    Raises
    ------
    ConfineError
        It cannot be done.
    """
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    made = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    for name in REFUSED:
        number = library.seccomp_syscall_resolve_name(name.encode())
        check(library.seccomp_rule_add_array(made, ctypes.c_uint32(REFUSE), number, 0, None), name)
    check(library.seccomp_load(made), "the filter")
    library.seccomp_release(made)


def check(status: int, what: str) -> None:
    """Turn an error of the library into one of ours."""
    if status:
        raise ConfineError(
            f"seccomp: {what} is not taken: {os.strerror(-status)}, wanted a kernel with seccomp filters"
        )
