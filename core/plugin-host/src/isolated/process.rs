//! Processes: how a child is started and ended, what its end means, and what it does to itself before it loads a plugin.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::ChildCommand;

/// Starts a child; its end of the socket is its standard input.
pub(crate) fn start(command: &ChildCommand) -> std::io::Result<(Child, UnixStream)> {
    let (ours, its) = UnixStream::pair()?;
    // What a plugin prints must not get between the lines that the run prints.
    let printed = std::io::stderr().as_fd().try_clone_to_owned()?;
    let child = Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .envs(
            command
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(Stdio::from(OwnedFd::from(its)))
        .stdout(Stdio::from(printed))
        // A group of its own: Ctrl-C is for the run, which tells the plugin; and what the plugin starts ends with it.
        .process_group(0)
        .spawn()?;
    Ok((child, ours))
}

/// Ends a child and everything in its group at once.
pub(crate) fn end(child: &mut Child) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    if let Ok(group) = libc::pid_t::try_from(child.id()) {
        // SAFETY: a plain system call. The child has not been waited for, so the number is still its own.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    // It may have left its group.
    let _ = child.kill();
    child.wait().ok()
}

/// Waits for a child that is about to end by itself; `None` if it does not within `patience`.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    let mut pause = Duration::from_micros(100);
    loop {
        match child.try_wait() {
            Ok(None) if began.elapsed() < patience => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(10));
            }
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
}

/// The exit code of a child that has lost the run.
const UNREACHABLE: libc::c_int = 113;

/// How a process ended, for people.
pub(crate) fn how(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return match status.code() {
            Some(UNREACHABLE) => "it closed the connection to the run".to_owned(),
            Some(code) => format!("it ended the process with exit code {code}"),
            None => "the process ended".to_owned(),
        };
    };
    let name = match signal {
        libc::SIGABRT => "SIGABRT: it gave up, or ran out of memory or stack",
        libc::SIGBUS => "SIGBUS: it touched memory that is not there",
        libc::SIGFPE => "SIGFPE: it divided by zero",
        libc::SIGILL => "SIGILL: it met an instruction that this machine does not have",
        libc::SIGKILL => "SIGKILL: somebody ended it, perhaps for want of memory",
        libc::SIGSEGV => "SIGSEGV: it touched memory that is not its own",
        libc::SIGTERM => "SIGTERM: somebody ended it",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}

/// In the child: takes the socket away from standard input, where a plugin might read it.
pub(crate) fn take_socket() -> std::io::Result<UnixStream> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    let stream = UnixStream::from(socket);
    // Not a socket when somebody types the command.
    stream.peer_addr()?;
    let nothing = File::open("/dev/null")?;
    // SAFETY: both descriptors are open; standard input is nobody's but ours.
    if unsafe { libc::dup2(nothing.as_raw_fd(), libc::STDIN_FILENO) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(stream)
}

/// In the child: from now on, asking for more memory than that fails.
pub(crate) fn limit_memory(mib: u64) {
    let bytes = mib.saturating_mul(1 << 20) as libc::rlim_t;
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // Data and not address space: what allocators reserve and never touch does not count. A system that knows no such
    // limit leaves the process without one.
    // SAFETY: a plain system call with a struct of its type.
    unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) };
}

/// In the child: ends the process as soon as the run has gone, whatever the plugin is doing.
pub(crate) fn end_with(stream: &UnixStream) -> std::io::Result<()> {
    let socket = stream.try_clone()?;
    std::thread::Builder::new()
        .name("end with the run".to_owned())
        .stack_size(64 << 10)
        .spawn(move || {
            wait_for(socket.as_raw_fd(), 0, -1);
            end_self();
        })?;
    Ok(())
}

/// In the child: at once, without a word. The run is gone, or cannot be reached.
pub(crate) fn end_self() -> ! {
    // SAFETY: a plain system call. Nothing of the plugin's is run any more, not even what it wants done at the end.
    unsafe { libc::_exit(UNREACHABLE) }
}

/// Whether something has come.
pub(crate) fn has_come(stream: &UnixStream) -> bool {
    wait_for(stream.as_raw_fd(), libc::POLLIN, 0)
}

/// Waits until one of `events`, or the end of the other side, for so many milliseconds (-1 = for ever).
fn wait_for(socket: RawFd, events: libc::c_short, milliseconds: libc::c_int) -> bool {
    let mut one = libc::pollfd {
        fd: socket,
        events,
        revents: 0,
    };
    loop {
        // SAFETY: one descriptor, and the count says so.
        let n = unsafe { libc::poll(&raw mut one, 1, milliseconds) };
        let interrupted =
            n < 0 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted;
        if !interrupted {
            return n > 0;
        }
    }
}
