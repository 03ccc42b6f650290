//! The folders of a snapshot being made, and their trees.
//!
//! Entries come depth first, so the open folders are a path. A folder that has been left waits until all its files have been
//! hashed (in the order in which they were left, so its subfolders are done before it) and becomes a tree. Only folders whose
//! files are still being worked on are in memory.

use crate::entry::Timestamp;
use crate::error::{Error, Result};
use crate::repository::format::tree::{self, Node, NodeKind};
use crate::repository::id::Id;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A file's blobs, once they are known.
pub type Blobs = Arc<OnceLock<Vec<Id>>>;

/// The number of a folder in a run.
type Number = u64;

enum Child {
    /// Anything that is complete.
    Leaf(Node),
    /// A file whose blobs may still be on their way.
    File(Node, Blobs),
    /// A folder that becomes a tree before this one.
    Folder(Node, Number),
}

/// A folder of the path that is open now.
pub struct Folder {
    name: Vec<u8>,
    number: Number,
    node: Node,
    children: Vec<Child>,
    names: HashSet<Vec<u8>>,
    /// The same folder in the parent snapshot, sorted by name.
    pub before: Vec<Node>,
}

/// A folder that was left.
struct Left {
    number: Number,
    children: Vec<Child>,
    /// Blobs that must be known: all before this.
    needs: u64,
}

/// All folders of a run that are not trees yet.
pub struct Folders {
    open: Vec<Folder>,
    left: VecDeque<Left>,
    trees: HashMap<Number, Id>,
    next_number: Number,
    /// Blobs handed out so far.
    blobs_begun: u64,
    /// Files that wait for their blobs, in order.
    waiting: VecDeque<(Range<u64>, Blobs)>,
    /// Ids that came, by the number of the first of each batch.
    arrived: HashMap<u64, Vec<Id>>,
    /// Ids of blobs from `known_from` on, in order.
    ids: VecDeque<Id>,
    known_from: u64,
    known_to: u64,
}

impl Folders {
    /// The root folder alone; `before` is the parent's.
    pub fn new(before: Vec<Node>) -> Self {
        let mut folders = Self {
            open: Vec::new(),
            left: VecDeque::new(),
            trees: HashMap::new(),
            next_number: 0,
            blobs_begun: 0,
            waiting: VecDeque::new(),
            arrived: HashMap::new(),
            ids: VecDeque::new(),
            known_from: 0,
            known_to: 0,
        };
        folders.push(Node::new(b"", NodeKind::Directory), before);
        folders
    }

    fn push(&mut self, node: Node, before: Vec<Node>) {
        self.open.push(Folder {
            name: node.name.clone(),
            number: self.next_number,
            node,
            children: Vec::new(),
            names: HashSet::new(),
            before,
        });
        self.next_number += 1;
    }

    /// How many leading parts of `path` are open already.
    pub fn common_depth<'p>(&self, path: impl Iterator<Item = &'p [u8]>) -> usize {
        self.open[1..].iter().zip(path).take_while(|(folder, part)| folder.name == *part).count()
    }

    /// Leaves folders until `depth` below the root are open.
    pub fn leave_to(&mut self, depth: usize) -> Result<()> {
        while self.open.len() > depth + 1 {
            self.leave()?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        let Some(folder) = self.open.pop() else { return Ok(()) };
        self.left.push_back(Left { number: folder.number, children: folder.children, needs: self.blobs_begun });
        match self.open.last_mut() {
            Some(parent) => {
                parent.children.push(Child::Folder(folder.node, folder.number));
                Ok(())
            }
            None => Err(Error::internal("the root folder was left")),
        }
    }

    /// Enters a folder of the current one.
    pub fn enter(&mut self, node: Node, before: Vec<Node>) -> Result<()> {
        self.claim_name(&node.name)?;
        self.push(node, before);
        Ok(())
    }

    /// The current folder.
    pub fn current(&mut self) -> Result<&mut Folder> {
        self.open.last_mut().ok_or_else(|| Error::internal("no folder is open"))
    }

    /// Replaces the metadata of the current folder, which was entered before its own entry came.
    pub fn describe_current(&mut self, node: Node) -> Result<()> {
        self.current()?.node = node;
        Ok(())
    }

    /// Adds what is complete to the current folder.
    pub fn add(&mut self, node: Node) -> Result<()> {
        self.claim_name(&node.name)?;
        self.current()?.children.push(Child::Leaf(node));
        Ok(())
    }

    /// Adds a file whose blobs have been handed out.
    pub fn add_file(&mut self, node: Node, blobs: Blobs) -> Result<()> {
        self.claim_name(&node.name)?;
        self.current()?.children.push(Child::File(node, blobs));
        Ok(())
    }

    fn claim_name(&mut self, name: &[u8]) -> Result<()> {
        if self.current()?.names.insert(name.to_vec()) {
            return Ok(());
        }
        Err(Error::internal(format!(
            "{:?} came twice in one folder, or its folder was left and entered again",
            String::from_utf8_lossy(name)
        )))
    }

    /// Hands out the numbers of a file's blobs.
    pub fn begin_file(&mut self, blobs: u64) -> Blobs {
        let cell = Blobs::default();
        if blobs == 0 {
            // A fresh cell is empty.
            let _ = cell.set(Vec::new());
        } else {
            self.waiting.push_back((self.blobs_begun..self.blobs_begun + blobs, Arc::clone(&cell)));
            self.blobs_begun += blobs;
        }
        cell
    }

    /// Takes the ids of a batch, in whatever order batches come, and completes the files that waited for them.
    pub fn name(&mut self, first: u64, ids: Vec<Id>) {
        self.arrived.insert(first, ids);
        while let Some(ids) = self.arrived.remove(&self.known_to) {
            self.known_to += ids.len() as u64;
            self.ids.extend(ids);
        }
        while self.waiting.front().is_some_and(|(range, _)| range.end <= self.known_to) {
            let Some((range, cell)) = self.waiting.pop_front() else { return };
            let count = (range.end - range.start) as usize;
            // Every cell is filled once: it leaves the queue here.
            let _ = cell.set(self.ids.drain(..count).collect());
            self.known_from = range.end;
        }
    }

    /// The next folder that can become a tree, as JSON; `finished` is to be called with its id.
    pub fn next_tree(&mut self) -> Option<(Number, Vec<u8>)> {
        if self.left.front()?.needs > self.known_to {
            return None;
        }
        let left = self.left.pop_front()?;
        let mut nodes: Vec<Node> = left.children.into_iter().map(|child| self.complete(child)).collect();
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Some((left.number, tree::encode(&nodes)))
    }

    fn complete(&mut self, child: Child) -> Node {
        match child {
            Child::Leaf(node) => node,
            Child::File(mut node, blobs) => {
                // A file with one name is the only one that holds its blobs.
                let content = Arc::try_unwrap(blobs).map_or_else(|shared| shared.get().cloned(), OnceLock::into_inner);
                node.content = content.unwrap_or_default();
                node
            }
            Child::Folder(mut node, number) => {
                node.subtree = self.trees.remove(&number);
                node
            }
        }
    }

    /// Says what became of a folder.
    pub fn finished(&mut self, number: Number, tree: Id) {
        self.trees.insert(number, tree);
    }

    /// Leaves everything, the root too. `next_tree` and `name` do the rest.
    pub fn leave_all(&mut self) -> Result<()> {
        self.leave_to(0)?;
        if let Some(root) = self.open.pop() {
            self.left.push_back(Left { number: root.number, children: root.children, needs: self.blobs_begun });
        }
        Ok(())
    }

    /// Whether folders wait for blobs.
    pub fn is_waiting(&self) -> bool {
        !self.left.is_empty()
    }

    /// The root's tree.
    pub fn root(&self) -> Option<Id> {
        self.trees.get(&0).copied()
    }
}

impl Folder {
    /// The entry of the same name in the parent snapshot; can be taken once.
    pub fn take_before(&mut self, name: &[u8]) -> Option<Node> {
        let at = self.before.binary_search_by(|node| node.name.as_slice().cmp(name)).ok()?;
        let node = &mut self.before[at];
        let empty = Node { name: node.name.clone(), ..Node::new(b"", NodeKind::Other) };
        Some(std::mem::replace(node, empty))
    }
}

/// A folder that nobody described: owner-only, as old as the run.
pub fn undescribed(name: &[u8], modified: Timestamp) -> Node {
    Node { mode: 0o700, modified, changed: modified, links: 1, ..Node::new(name, NodeKind::Directory) }
}
