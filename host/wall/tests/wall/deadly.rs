//! System calls that only an attacker makes. Most arguments are wrong on purpose: if the wall let
//! one through, the machine would stay as it is.

use std::process::Command;

use crate::attempts::{Scene, arg, buffer, call, text};

/// Attempt by a name.
type Deadly = (&'static str, fn(&Scene));

/// Pointer that no process has.
const NOWHERE: u64 = 1;

/// Makes a system call whose answer nobody gets to see.
fn try_call(number: libc::c_long, arguments: &[u64]) {
    let _ = call(number, arguments);
}

/// Attempts that must end the process.
pub(crate) const DEADLY: &[Deadly] = &[
    ("execve", |_| try_call(libc::SYS_execve, &[text("/bin/true"), 0, 0])),
    ("execveat", |_| try_call(libc::SYS_execveat, &[1, text(""), 0, 0, arg(libc::AT_EMPTY_PATH)])),
    ("Command::spawn", |_| drop(Command::new("/bin/true").spawn())),
    ("clone of a process", |_| try_call(libc::SYS_clone, &[arg(libc::SIGCHLD)])),
    ("clone of a process that shares memory", |_| {
        try_call(libc::SYS_clone, &[arg(libc::CLONE_VM | libc::CLONE_FILES | libc::SIGCHLD)]);
    }),
    #[cfg(target_arch = "x86_64")]
    ("fork", |_| try_call(libc::SYS_fork, &[])),
    #[cfg(target_arch = "x86_64")]
    ("vfork", |_| try_call(libc::SYS_vfork, &[])),
    ("ptrace", |on| try_call(libc::SYS_ptrace, &[u64::from(libc::PTRACE_SEIZE), on.parent, 0, 0])),
    ("process_vm_readv", |on| try_call(libc::SYS_process_vm_readv, &[on.parent, 0, 0, 0, 0, 0])),
    ("process_vm_writev", |on| try_call(libc::SYS_process_vm_writev, &[on.parent, 0, 0, 0, 0, 0])),
    ("kcmp", |on| try_call(libc::SYS_kcmp, &[on.parent, on.parent, 0, 0, 0])),
    ("pidfd_open", |on| try_call(libc::SYS_pidfd_open, &[on.parent, 0])),
    ("pidfd_getfd", |_| try_call(libc::SYS_pidfd_getfd, &[arg(-1), 0, 0])),
    ("pidfd_send_signal", |_| try_call(libc::SYS_pidfd_send_signal, &[arg(-1), 0, 0, 0])),
    ("unshare", |_| try_call(libc::SYS_unshare, &[arg(libc::CLONE_NEWUSER)])),
    ("setns", |_| try_call(libc::SYS_setns, &[arg(-1), 0])),
    ("chroot", |_| try_call(libc::SYS_chroot, &[text("/")])),
    ("pivot_root", |_| try_call(libc::SYS_pivot_root, &[NOWHERE, NOWHERE])),
    ("mount", |_| try_call(libc::SYS_mount, &[NOWHERE, NOWHERE, NOWHERE, 0, 0])),
    ("umount2", |_| try_call(libc::SYS_umount2, &[NOWHERE, 0])),
    ("move_mount", |_| try_call(libc::SYS_move_mount, &[arg(-1), NOWHERE, arg(-1), NOWHERE, 0])),
    ("open_tree", |_| try_call(libc::SYS_open_tree, &[arg(-1), NOWHERE, 0])),
    ("fsopen", |_| try_call(libc::SYS_fsopen, &[text("tmpfs"), 0])),
    ("open_by_handle_at", |_| try_call(libc::SYS_open_by_handle_at, &[arg(-1), NOWHERE, 0])),
    ("fanotify_init", |_| try_call(libc::SYS_fanotify_init, &[0, 0])),
    ("bpf", |_| try_call(libc::SYS_bpf, &[0, buffer(), 128])),
    ("perf_event_open", |_| try_call(libc::SYS_perf_event_open, &[buffer(), 0, arg(-1), arg(-1), 0])),
    ("userfaultfd", |_| try_call(libc::SYS_userfaultfd, &[1])),
    ("io_uring_setup", |_| try_call(libc::SYS_io_uring_setup, &[1, buffer()])),
    ("io_uring_enter", |_| try_call(libc::SYS_io_uring_enter, &[arg(-1), 0, 0, 0, 0, 0])),
    ("add_key", |_| try_call(libc::SYS_add_key, &[text("user"), text("frond"), NOWHERE, 1, arg(-2)])),
    ("request_key", |_| try_call(libc::SYS_request_key, &[text("user"), text("frond"), 0, 0])),
    ("keyctl", |_| try_call(libc::SYS_keyctl, &[0, arg(-2), 0, 0, 0])),
    ("init_module", |_| try_call(libc::SYS_init_module, &[NOWHERE, 0, NOWHERE])),
    ("finit_module", |_| try_call(libc::SYS_finit_module, &[arg(-1), NOWHERE, 0])),
    ("delete_module", |_| try_call(libc::SYS_delete_module, &[NOWHERE, 0])),
    ("kexec_load", |_| try_call(libc::SYS_kexec_load, &[0, 1, NOWHERE, arg(-1)])),
    ("kexec_file_load", |_| try_call(libc::SYS_kexec_file_load, &[arg(-1), arg(-1), 0, 0, arg(-1)])),
    ("reboot", |_| try_call(libc::SYS_reboot, &[0, 0, 0, 0])),
    ("swapon", |_| try_call(libc::SYS_swapon, &[NOWHERE, 0])),
    ("swapoff", |_| try_call(libc::SYS_swapoff, &[NOWHERE])),
    ("acct", |_| try_call(libc::SYS_acct, &[NOWHERE])),
    ("settimeofday", |_| try_call(libc::SYS_settimeofday, &[0, 0])),
    ("clock_settime", |_| try_call(libc::SYS_clock_settime, &[arg(-1), NOWHERE])),
    ("sethostname", |_| try_call(libc::SYS_sethostname, &[NOWHERE, arg(-1)])),
    ("setuid", |_| try_call(libc::SYS_setuid, &[65_534])),
    ("setgid", |_| try_call(libc::SYS_setgid, &[65_534])),
    ("setresuid", |_| try_call(libc::SYS_setresuid, &[arg(-1), arg(-1), arg(-1)])),
    ("setgroups", |_| try_call(libc::SYS_setgroups, &[arg(-1), NOWHERE])),
    ("capset", |_| try_call(libc::SYS_capset, &[NOWHERE, NOWHERE])),
    ("personality", |_| try_call(libc::SYS_personality, &[0xffff_ffff])),
    #[cfg(target_arch = "x86_64")]
    ("iopl", |_| try_call(libc::SYS_iopl, &[3])),
    #[cfg(target_arch = "x86_64")]
    ("ioperm", |_| try_call(libc::SYS_ioperm, &[0, 1, 1])),
    #[cfg(target_arch = "x86_64")]
    ("modify_ldt", |_| try_call(libc::SYS_modify_ldt, &[0, 0, 0])),
];

/// Asks for the process's number by the system calls of 32-bit programs, whose numbers differ.
#[cfg(target_arch = "x86_64")]
pub(crate) fn call_as_32_bit() {
    // SAFETY: `getpid`, number 20, neither reads nor writes memory.
    unsafe { std::arch::asm!("int 0x80", inout("eax") 20 => _) };
}
