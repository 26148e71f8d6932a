//! How many files this process may have open: each connection is one.
//!
//! The usual limit of 1,024 is a soft one, which a process may raise itself; nobody should have to.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides connections: the listener, Redis, the runtime, certificates while they are read.
const OTHERS: u64 = 64;

/// Raises the soft limit as far as it may be; answers how many connections there is room for, at most as many as are wanted.
pub(super) fn room_for(wanted: usize) -> usize {
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    let Some(soft) = limit.current.filter(|soft| *soft < needed) else { return wanted };
    let raised = limit.maximum.map_or(needed, |hard| hard.min(needed)).max(soft);
    let may = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    if may >= needed {
        return wanted;
    }
    let room = usize::try_from(may.saturating_sub(OTHERS)).unwrap_or(wanted).max(1);
    tracing::warn!(
        connections = room,
        wanted,
        "this process may open {may} files only, so it serves fewer connections than POSTROOM_API_CONNECTIONS: raise the limit \
         (ulimit -n)"
    );
    room
}
