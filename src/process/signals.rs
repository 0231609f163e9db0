//! Owns signals: what is inherited is put right at the start, what asks to stop is waited for, and before
//! exec everything is as a program expects it. As PID 1 the kernel delivers only what has a handler.

use std::io;

use nix::libc::{self, c_int};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use tokio::signal::unix::{SignalKind, signal};

/// Makes sure that this process hears signals and can wait for its child, whatever its parent ignored or
/// blocked.
pub(crate) fn accept() {
    restore(libc::SIGCHLD);
    unblock();
}

/// Default dispositions and an empty mask: `exec` keeps ignored and blocked signals as they are, and an app
/// that inherits an ignored SIGTERM cannot be stopped.
pub(crate) fn reset() {
    // The real-time signals too; the kernel refuses SIGKILL and SIGSTOP, libc the two that it keeps for itself.
    (1..=libc::SIGRTMAX()).for_each(restore);
    unblock();
}

fn restore(number: c_int) {
    // SAFETY: setting the default disposition installs no handler, so nothing of ours can run in signal
    // context. A signal that cannot be changed is one that nobody changed.
    #[allow(unsafe_code)]
    unsafe {
        libc::signal(number, libc::SIG_DFL);
    }
}

fn unblock() {
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// Waits for a signal that asks to stop: its name and number.
///
/// # Errors
/// No handler can be installed.
pub(crate) async fn asked_to_stop() -> io::Result<(&'static str, u8)> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = hangup.recv() => ("SIGHUP", 1),
        _ = interrupt.recv() => ("SIGINT", 2),
        _ = quit.recv() => ("SIGQUIT", 3),
        _ = terminate.recv() => ("SIGTERM", 15),
    })
}
