//! A process group as the kernel sees it: who is in it, signals to all of it, whether it is gone.
//! Starts nothing and remembers nothing.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::{self, Pid};

use crate::effects::descriptors;

/// What `/proc/<pid>/stat` says of one process, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessStat {
    /// The process.
    pub pid: i32,
    /// Its process group.
    pub group: i32,
    /// Whether it has ended and only waits for its parent to notice.
    pub zombie: bool,
    /// CPU time used so far, in clock ticks.
    pub cpu_ticks: u64,
    /// When it was started, in clock ticks since the machine was.
    pub started_ticks: u64,
}

/// The process `pid`, if it exists.
pub(super) fn stat(pid: i32) -> Option<ProcessStat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process that is visible from here.
///
/// # Errors
/// When falconer itself is not able to look, for the want of descriptors, say.
fn all() -> io::Result<Vec<ProcessStat>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(text) => processes.extend(parse_stat(&text)),
            Err(error) if descriptors::is_own_limit(&error) => return Err(error),
            Err(_) => {} // It has ended meanwhile.
        }
    }
    Ok(processes)
}

/// The living members of `group`. A zombie is no member: it holds nothing any more, and where the
/// machine's first process does not reap it stays for ever.
pub(super) fn members(group: i32) -> Vec<ProcessStat> {
    try_members(group).unwrap_or_default()
}

fn try_members(group: i32) -> io::Result<Vec<ProcessStat>> {
    if signal_zero(group) == Err(Errno::ESRCH) {
        return Ok(Vec::new());
    }
    let is_member = |process: &ProcessStat| process.group == group && !process.zombie;
    Ok(all()?.into_iter().filter(is_member).collect())
}

/// Whether any member of `group` lives. A group that cannot be looked at is taken to be alive: it
/// must not be started a second time because falconer has no descriptor left.
pub(super) fn is_alive(group: i32) -> bool {
    try_members(group).map_or(true, |members| !members.is_empty())
}

/// The group of a living process whose environment has the entry `key=value`; never our own.
pub(super) fn find_marked(key: &str, value: &str) -> Option<i32> {
    let wanted = format!("{key}={value}");
    let marked = |process: &ProcessStat| {
        fs::read(format!("/proc/{}/environ", process.pid))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|e| e == wanted.as_bytes()))
    };
    let own = unistd::getpgrp().as_raw();
    all()
        .unwrap_or_default()
        .into_iter()
        .filter(|process| !process.zombie && process.group > 1 && process.group != own)
        .find(marked)
        .map(|process| process.group)
}

/// Resident memory of `pid` in bytes.
pub(super) fn resident_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Tells this run of the machine from every other one; empty where the kernel does not say.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Asks every member of `group` to end. Stopped members are continued, since they could not hear.
///
/// # Errors
/// The kernel's refusal; a group that is already gone is no error.
pub(super) fn terminate(group: i32) -> Result<(), Errno> {
    send(group, Signal::SIGTERM)?;
    send(group, Signal::SIGCONT)
}

/// Ends every member of `group`.
///
/// # Errors
/// The kernel's refusal; a group that is already gone is no error.
pub(super) fn kill(group: i32) -> Result<(), Errno> {
    send(group, Signal::SIGKILL)
}

fn send(group: i32, signal: Signal) -> Result<(), Errno> {
    // 0 and 1 would be our own group and the whole machine.
    if group <= 1 {
        return Err(Errno::EINVAL);
    }
    match signal::killpg(Pid::from_raw(group), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn signal_zero(group: i32) -> Result<(), Errno> {
    if group <= 1 {
        return Err(Errno::ESRCH);
    }
    signal::killpg(Pid::from_raw(group), None)
}

/// The second field is the program's name in parentheses and may itself hold spaces and
/// parentheses, so the fields are counted from the last one.
fn parse_stat(line: &str) -> Option<ProcessStat> {
    let (head, tail) = line.rsplit_once(')')?;
    let pid = head.split_once(' ')?.0.parse().ok()?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // proc(5) counts from 1 with pid and name before these: field n is fields[n - 3].
    let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    Some(ProcessStat {
        pid,
        group: fields.get(2)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        cpu_ticks: number(14)? + number(15)?,
        started_ticks: number(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = "42 (a) (b c)) S 1 40 40 0 -1 4194560 9 0 0 0 7 5 0 0 20 0 1 0 12345 1 2";
        let stat = parse_stat(line);
        assert_eq!(
            stat,
            Some(ProcessStat {
                pid: 42,
                group: 40,
                zombie: false,
                cpu_ticks: 12,
                started_ticks: 12345
            })
        );
        assert_eq!(parse_stat("42 (sh"), None);
        assert_eq!(parse_stat("42 (sh) S 1"), None);
    }

    #[test]
    fn this_process_is_found_and_has_memory() {
        let me = i32::try_from(std::process::id()).unwrap();
        let stat = stat(me).unwrap();
        assert_eq!(stat.pid, me);
        assert!(!stat.zombie);
        assert!(resident_bytes(me).unwrap() > 0);
        assert!(members(stat.group).iter().any(|member| member.pid == me));
    }

    #[test]
    fn the_own_group_and_the_whole_machine_are_never_signalled() {
        for group in [-1, 0, 1] {
            assert_eq!(terminate(group), Err(Errno::EINVAL));
            assert_eq!(kill(group), Err(Errno::EINVAL));
            assert!(!is_alive(group));
        }
    }
}
