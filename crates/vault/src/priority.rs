//! Who goes first where there are more threads than processors.

/// Added to a thread's niceness: takes it to a third of a processor's time where others want it.
const NICENESS: i32 = 5;

/// Lets other threads go first from here on: those at both ends of a queue, and work that cannot be divided, such as a
/// database's check, which otherwise outlasts everything else.
pub(crate) fn give_way() {
    // Where the system does not allow it, the work takes longer.
    let _ = rustix::process::nice(NICENESS);
}
