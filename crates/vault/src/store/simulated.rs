//! A store in memory that fails as told: for tests of everything that is built on stores.
//!
//! It counts operations, keeps every change so that the state after any number of them can be had again (a crash), makes one
//! operation fail in a chosen way, and lets several actors take turns in an order drawn from a seed, one operation each.
//! The same seed gives the same run, as long as each actor works on one thread.

use super::{ObjectInfo, ObjectReader, ObjectWriter, Store};
use crate::entry::EntryPath;
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// How an operation goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails, once.
    Transient,
    /// It and all after it fail.
    Permanent,
    /// A write leaves half of its object and everything after it fails, as in a crash on a store that is not atomic.
    Torn,
    /// A change is acknowledged and never happens.
    Lost,
    /// A change happens, but is reported as failed.
    Unacknowledged,
    /// Listings do not show what was written after this operation began.
    Lagging,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Transient, Self::Permanent, Self::Torn, Self::Lost, Self::Unacknowledged, Self::Lagging];
}

/// A change of the store: an object's new bytes, or none if it was removed.
type Change = (String, Option<Arc<[u8]>>);

#[derive(Clone)]
struct Object {
    bytes: Arc<[u8]>,
    written_at_seconds: u64,
    written_by_operation: u64,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    changes: Vec<Change>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    fired: u64,
    now_seconds: u64,
    turns: Option<Turns>,
}

struct Turns {
    random: u64,
    alive: Vec<bool>,
    current: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    turn: Condvar,
}

/// The store, as one actor sees it.
#[derive(Clone, Default)]
pub struct SimulatedStore {
    shared: Arc<Shared>,
    actor: usize,
}

impl SimulatedStore {
    /// An empty store at a time.
    pub fn new(now_seconds: u64) -> Self {
        let store = Self::default();
        store.lock().now_seconds = now_seconds;
        store
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the clock that objects get their time from.
    pub fn set_time(&self, now_seconds: u64) {
        self.lock().now_seconds = now_seconds;
    }

    /// Operations so far, failed ones too.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Changes so far.
    pub fn changes(&self) -> usize {
        self.lock().changes.len()
    }

    /// The operation of that number, counted from now on, goes wrong.
    pub fn inject(&self, operation: u64, fault: Fault) {
        let mut state = self.lock();
        state.fault = Some((state.operations + operation, fault));
    }

    /// How often the fault showed: an operation failed, a write was torn or lost, a listing hid something.
    pub fn fired(&self) -> u64 {
        self.lock().fired
    }

    /// Everything works again.
    pub fn heal(&self) {
        self.lock().fault = None;
    }

    /// A store of its own in the state after so many changes.
    #[must_use]
    pub fn after(&self, changes: usize) -> Self {
        let source = self.lock();
        let copy = Self::new(source.now_seconds);
        for (name, bytes) in source.changes.iter().take(changes) {
            copy.lock().apply(name, bytes.clone());
        }
        copy
    }

    /// The bytes of an object, without counting.
    pub fn peek(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().objects.get(name).map(|object| object.bytes.to_vec())
    }

    /// Changes an object behind everybody's back; `None` removes it.
    pub fn tamper(&self, name: &str, bytes: Option<Vec<u8>>) {
        self.lock().apply(name, bytes.map(Into::into));
    }

    /// The same store for several actors, who from now on take turns in an order drawn from the seed. Each must call
    /// [`leave`](Self::leave) at its end.
    pub fn actors(&self, count: usize, seed: u64) -> Vec<Self> {
        let mut turns = Turns { random: seed, alive: vec![true; count], current: 0 };
        turns.pass_on();
        self.lock().turns = Some(turns);
        (0..count).map(|actor| Self { shared: Arc::clone(&self.shared), actor }).collect()
    }

    /// This actor does nothing more.
    pub fn leave(&self) {
        if let Some(turns) = &mut self.lock().turns {
            turns.alive[self.actor] = false;
            if turns.current == self.actor {
                turns.pass_on();
            }
        }
        self.shared.turn.notify_all();
    }

    /// Waits for the actor's turn and does one operation.
    fn operate<T>(&self, work: impl FnOnce(&mut State, Option<Fault>) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        while state.turns.as_ref().is_some_and(|turns| turns.alive[self.actor] && turns.current != self.actor) {
            state = self.shared.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let number = state.operations;
        state.operations += 1;
        let fault = state.fault.and_then(|(at, fault)| match fault {
            Fault::Permanent if number >= at => Some(fault),
            Fault::Torn if number > at => Some(Fault::Permanent),
            Fault::Lagging => Some(fault),
            _ => (number == at).then_some(fault),
        });
        let result = match fault {
            Some(Fault::Transient | Fault::Permanent) => {
                state.fired += 1;
                Err(broken())
            }
            other => work(&mut state, other),
        };
        if let Some(turns) = &mut state.turns {
            turns.pass_on();
        }
        self.shared.turn.notify_all();
        result
    }

    fn change(&self, name: &str, bytes: Option<Arc<[u8]>>) -> Result<()> {
        EntryPath::new(name)?;
        self.operate(|state, fault| match fault {
            Some(Fault::Lost) => {
                state.fired += 1;
                Ok(())
            }
            Some(Fault::Torn) => {
                state.fired += 1;
                if let Some(bytes) = bytes {
                    state.apply(name, Some(bytes[..bytes.len() / 2].into()));
                }
                Err(broken())
            }
            Some(Fault::Unacknowledged) => {
                state.fired += 1;
                state.apply(name, bytes);
                Err(broken())
            }
            _ => {
                if bytes.is_some() && state.objects.contains_key(name) {
                    let message = format!("{name} exists already");
                    return Err(Error::new(ErrorKind::Refused, message, "Choose another name."));
                }
                state.apply(name, bytes);
                Ok(())
            }
        })
    }
}

impl State {
    fn apply(&mut self, name: &str, bytes: Option<Arc<[u8]>>) {
        match &bytes {
            Some(bytes) => {
                let object = Object {
                    bytes: Arc::clone(bytes),
                    written_at_seconds: self.now_seconds,
                    written_by_operation: self.operations,
                };
                self.objects.insert(name.to_owned(), object);
            }
            None => drop(self.objects.remove(name)),
        }
        self.changes.push((name.to_owned(), bytes));
    }

    fn get(&self, name: &str) -> Result<Arc<[u8]>> {
        self.objects
            .get(name)
            .map(|object| Arc::clone(&object.bytes))
            .ok_or_else(|| Error::io(format!("opening {name}"), io::ErrorKind::NotFound.into()))
    }
}

impl Turns {
    /// Gives the turn to one of the living (splitmix64).
    fn pass_on(&mut self) {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let living: Vec<usize> = (0..self.alive.len()).filter(|&actor| self.alive[actor]).collect();
        if let Some(&next) = living.get((mixed % living.len().max(1) as u64) as usize) {
            self.current = next;
        }
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Io, "the simulated store fails as it was told", "")
}

fn info(name: &str, object: &Object) -> ObjectInfo {
    let modified = UNIX_EPOCH + Duration::from_secs(object.written_at_seconds);
    ObjectInfo { name: name.to_owned(), size_bytes: object.bytes.len() as u64, modified: Some(modified) }
}

impl Store for SimulatedStore {
    fn describe(&self) -> String {
        "a simulated store".to_owned()
    }

    fn create(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(SimulatedWriter { store: self.clone(), name: name.to_owned(), bytes: Vec::new() }))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<ObjectInfo> {
        self.change(name, Some(bytes.into()))?;
        Ok(ObjectInfo { name: name.to_owned(), size_bytes: bytes.len() as u64, modified: None })
    }

    fn open(&self, name: &str) -> Result<Box<dyn ObjectReader>> {
        self.operate(|state, _| Ok(Box::new(Cursor::new(state.get(name)?.to_vec())) as Box<dyn ObjectReader>))
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.operate(|state, _| {
            let bytes = state.get(name)?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let range = start.checked_add(length).and_then(|end| bytes.get(start..end));
            range
                .map(<[u8]>::to_vec)
                .ok_or_else(|| Error::io(format!("reading {name}"), io::ErrorKind::UnexpectedEof.into()))
        })
    }

    fn read_all(&self, name: &str, size_bytes_max: u64) -> Result<Vec<u8>> {
        self.operate(|state, _| {
            let bytes = state.get(name)?;
            if bytes.len() as u64 > size_bytes_max {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    format!("{name} is larger than {size_bytes_max} bytes"),
                    "",
                ));
            }
            Ok(bytes.to_vec())
        })
    }

    fn stat(&self, name: &str) -> Result<Option<ObjectInfo>> {
        self.operate(|state, _| Ok(state.objects.get(name).map(|object| info(name, object))))
    }

    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        self.operate(|state, fault| {
            let since = match (fault, state.fault) {
                (Some(Fault::Lagging), Some((at, _))) => at,
                _ => u64::MAX,
            };
            let there = state.objects.iter().filter(|(name, _)| name.starts_with(&prefix));
            let (shown, hidden): (Vec<_>, Vec<_>) = there.partition(|(_, object)| object.written_by_operation <= since);
            state.fired += u64::from(!hidden.is_empty());
            Ok(shown.into_iter().map(|(name, object)| info(name, object)).collect())
        })
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.change(name, None)
    }
}

struct SimulatedWriter {
    store: SimulatedStore,
    name: String,
    bytes: Vec<u8>,
}

impl Write for SimulatedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ObjectWriter for SimulatedWriter {
    fn rewrite_head(&mut self, head: &[u8]) -> Result<()> {
        let start = self.bytes.get_mut(..head.len());
        start
            .ok_or_else(|| Error::internal("the head to rewrite is longer than what was written"))?
            .copy_from_slice(head);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<ObjectInfo> {
        self.store.put(&self.name, &self.bytes)
    }
}
