//! A parallel map that keeps the order: jobs go in at one end, results come out at the other in the same order, from
//! whichever thread was free.
//!
//! Invariant: at most `depth` jobs are under way or waiting to be taken out. Dropping either end stops the other and the
//! threads between.

use crate::priority::give_way;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::thread;

/// Where jobs go in.
pub(super) struct Input<J, R> {
    order: Sender<Receiver<R>>,
    jobs: Sender<(J, Sender<R>)>,
}

/// Where results come out.
pub(super) struct Output<R> {
    order: Receiver<Receiver<R>>,
}

/// The other end is gone, or a worker died.
#[derive(Debug)]
pub(super) struct Closed;

/// Starts `threads` workers, each with its own state from `make_worker`.
pub(super) fn pipe<J, R, W>(
    threads: usize,
    depth: usize,
    make_worker: impl Fn() -> W,
) -> io::Result<(Input<J, R>, Output<R>)>
where
    J: Send + 'static,
    R: Send + 'static,
    W: FnMut(J) -> R + Send + 'static,
{
    let (order_in, order_out) = bounded(depth);
    let (jobs_in, jobs_out) = bounded::<(J, Sender<R>)>(depth);
    for _ in 0..threads {
        let jobs = jobs_out.clone();
        let mut work = make_worker();
        thread::Builder::new().name("compression".to_owned()).spawn(move || {
            give_way();
            for (job, reply) in jobs {
                // Nobody waits for the result any more when the output was dropped; the jobs end then too.
                let _ = reply.send(work(job));
            }
        })?;
    }
    Ok((Input { order: order_in, jobs: jobs_in }, Output { order: order_out }))
}

impl<J, R> Input<J, R> {
    /// Hands a job in; waits while `depth` others are on their way.
    pub(super) fn push(&self, job: J) -> Result<(), Closed> {
        let (reply, result) = bounded(1);
        self.order.send(result).map_err(|_| Closed)?;
        self.jobs.send((job, reply)).map_err(|_| Closed)
    }
}

impl<R> Output<R> {
    /// The next result; `None` after the input was dropped and everything came out.
    pub(super) fn next(&self) -> Result<Option<R>, Closed> {
        match self.order.recv() {
            Ok(result) => result.recv().map(Some).map_err(|_| Closed),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_out_in_the_order_of_the_jobs() {
        let (input, output) = pipe(3, 4, || {
            |n: u64| {
                thread::sleep(std::time::Duration::from_micros(n * 7919 % 300));
                n
            }
        })
        .unwrap();
        let feeder = thread::spawn(move || (0..500).try_for_each(|n| input.push(n)));
        let results: Vec<u64> = std::iter::from_fn(|| output.next().unwrap()).collect();
        assert_eq!(results, (0..500).collect::<Vec<_>>());
        feeder.join().unwrap().unwrap();
    }

    #[test]
    fn a_dropped_output_stops_the_input() {
        let (input, output) = pipe(2, 2, || |n: u32| n).unwrap();
        drop(output);
        assert!((0..10).any(|n| input.push(n).is_err()));
    }
}
