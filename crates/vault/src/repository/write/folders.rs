//! The folders of a snapshot being made, and their trees.
//!
//! Entries come depth first, so the open folders are a path. A folder that has been left waits until all its files have been
//! hashed (in the order in which they were left, so its subfolders are done before it) and becomes a tree. Only folders whose
//! files are still being worked on are in memory.

use crate::entry::Timestamp;
use crate::error::{Error, Result};
use crate::repository::format::tree::{self, Node, NodeKind};
use crate::repository::id::Id;
use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A file's blobs, once they are known.
pub type Blobs = Arc<OnceLock<Vec<Id>>>;

/// So many ids are worth another list to collect the next ones in.
const IDS_TAKEN_MIN: usize = 4096;

/// The number of a folder in a run.
type Number = u64;

/// An entry of an open folder.
enum Child {
    /// What stands there in the parent snapshot.
    Same(usize),
    Own(Box<Part>),
}

/// An entry of a folder, on its own.
enum Part {
    /// Anything that is complete.
    Leaf(Node),
    /// A file whose blobs may still be on their way.
    File(Node, Blobs),
    /// A folder that becomes a tree before this one.
    Folder(Node, Number),
}

impl Child {
    fn name<'a>(&'a self, before: &'a Earlier) -> &'a [u8] {
        match self {
            Self::Same(at) => &before.nodes[*at].name,
            Self::Own(part) => {
                let (Part::Leaf(node) | Part::File(node, _) | Part::Folder(node, _)) = &**part;
                &node.name
            }
        }
    }
}

/// A folder of the parent snapshot.
#[derive(Default)]
pub struct Earlier {
    /// Its tree, if the nodes are all that is in it.
    pub tree: Option<Id>,
    /// What is in it, sorted by name, but for files that cannot be restored from there.
    pub nodes: Vec<Node>,
}

/// What a folder becomes.
pub enum Tree {
    /// The tree that it was in the parent snapshot: nothing in it changed.
    Same(Id),
    /// This JSON; the tree that it was before, if it was there.
    New(Vec<u8>, Option<Id>),
}

/// A folder of the path that is open now.
pub struct Folder {
    name: Vec<u8>,
    number: Number,
    node: Node,
    children: Vec<Child>,
    /// The entry that came last.
    last: Vec<u8>,
    /// All names, as soon as one comes that is not after the last.
    names: Option<HashSet<Vec<u8>>>,
    /// The same folder in the parent snapshot.
    before: Earlier,
    /// Where it was looked into last: both come in the order of their names.
    looked_at: Cell<usize>,
    /// Entries that are what they were there; folders among them if their trees are, too.
    same: usize,
    /// Trees that folders must become again for that.
    same_trees: Vec<(Number, Id)>,
}

/// A folder that was left.
struct Left {
    number: Number,
    parts: Vec<Part>,
    /// Blobs that must be known: all before this.
    needs: u64,
    /// The tree that it was in the parent snapshot.
    before: Option<Id>,
    /// It is that again if these folders are theirs again.
    same: Option<Vec<(Number, Id)>>,
}

/// All folders of a run that are not trees yet.
pub struct Folders {
    open: Vec<Folder>,
    left: VecDeque<Left>,
    /// What folders that were left held in the parent snapshot.
    spent: Vec<Vec<Node>>,
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
    pub fn new(before: Earlier) -> Self {
        let mut folders = Self {
            open: Vec::new(),
            left: VecDeque::new(),
            spent: Vec::new(),
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

    fn push(&mut self, node: Node, before: Earlier) {
        self.open.push(Folder {
            name: node.name.clone(),
            number: self.next_number,
            node,
            children: Vec::new(),
            last: Vec::new(),
            names: None,
            before,
            looked_at: Cell::new(0),
            same: 0,
            same_trees: Vec::new(),
        });
        self.next_number += 1;
    }

    /// How many leading parts of `path` are open already.
    pub fn common_depth<'p>(&self, path: impl Iterator<Item = &'p [u8]>) -> usize {
        self.open[1..].iter().zip(path).take_while(|(folder, part)| folder.name == *part).count()
    }

    /// The nodes of the parent snapshot that are not needed any more.
    pub fn take_spent(&mut self) -> impl Iterator<Item = Vec<Node>> {
        self.spent.drain(..)
    }

    /// How many folders below the root are open.
    pub const fn depth(&self) -> usize {
        self.open.len() - 1
    }

    /// Leaves folders until `depth` below the root are open.
    pub fn leave_to(&mut self, depth: usize) -> Result<()> {
        while self.open.len() > depth + 1 {
            self.leave()?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        let Some(mut folder) = self.open.pop() else { return Ok(()) };
        let node = std::mem::replace(&mut folder.node, Node::new(b"", NodeKind::Directory));
        let number = folder.number;
        let (left, spent) = folder.left(self.blobs_begun);
        self.left.push_back(left);
        self.spent.push(spent);
        let parent = self.open.last_mut().ok_or_else(|| Error::internal("the root folder was left"))?;
        if let Some(was) = parent.before_of(&node.name)
            && let Some(tree) = was.subtree
            && node == (Node { subtree: None, ..was.clone() })
        {
            parent.same += 1;
            parent.same_trees.push((number, tree));
        }
        parent.children.push(Child::Own(Box::new(Part::Folder(node, number))));
        Ok(())
    }

    /// Enters a folder of the current one.
    pub fn enter(&mut self, node: Node, before: Earlier) -> Result<()> {
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
        let folder = self.current()?;
        folder.same += usize::from(folder.before_of(&node.name) == Some(&node));
        folder.children.push(Child::Own(Box::new(Part::Leaf(node))));
        Ok(())
    }

    /// Adds a file that is unchanged since the parent snapshot, where it stands at a place; `node` is all but its content.
    pub fn add_unchanged(&mut self, mut node: Node, at: usize) -> Result<()> {
        self.claim_name(&node.name)?;
        let folder = self.current()?;
        let before = &mut folder.before.nodes[at];
        let content = std::mem::take(&mut before.content);
        let same = *before == node;
        before.content = content;
        if same {
            folder.same += 1;
            folder.children.push(Child::Same(at));
        } else {
            node.content.clone_from(&before.content);
            folder.children.push(Child::Own(Box::new(Part::Leaf(node))));
        }
        Ok(())
    }

    /// Adds a file whose blobs have been handed out.
    pub fn add_file(&mut self, node: Node, blobs: Blobs) -> Result<()> {
        self.claim_name(&node.name)?;
        self.current()?.children.push(Child::Own(Box::new(Part::File(node, blobs))));
        Ok(())
    }

    fn claim_name(&mut self, name: &[u8]) -> Result<()> {
        if self.current()?.claim(name) {
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
            // Those of one large file are handed over as they are.
            let all = count == self.ids.len() && count >= IDS_TAKEN_MIN;
            let ids = if all { std::mem::take(&mut self.ids).into() } else { self.ids.drain(..count).collect() };
            // Every cell is filled once: it leaves the queue here.
            let _ = cell.set(ids);
            self.known_from = range.end;
        }
    }

    /// The next folder that can become a tree; `finished` is to be called with its id.
    pub fn next_tree(&mut self) -> Option<(Number, Tree)> {
        if self.left.front()?.needs > self.known_to {
            return None;
        }
        let left = self.left.pop_front()?;
        if let Some(tree) = left.before
            && let Some(folders) = &left.same
            && folders.iter().all(|(number, tree)| self.trees.get(number) == Some(tree))
        {
            folders.iter().for_each(|(number, _)| _ = self.trees.remove(number));
            return Some((left.number, Tree::Same(tree)));
        }
        let mut nodes: Vec<Node> = left.parts.into_iter().map(|part| self.complete(part)).collect();
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Some((left.number, Tree::New(tree::encode(&nodes), left.before)))
    }

    fn complete(&mut self, part: Part) -> Node {
        match part {
            Part::Leaf(node) => node,
            Part::File(mut node, blobs) => {
                // A file with one name is the only one that holds its blobs.
                let content = Arc::try_unwrap(blobs).map_or_else(|shared| shared.get().cloned(), OnceLock::into_inner);
                node.content = content.unwrap_or_default();
                node
            }
            Part::Folder(mut node, number) => {
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
            self.left.push_back(root.left(self.blobs_begun).0);
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
    /// The entry of the same name in the parent snapshot.
    pub fn before_of(&self, name: &[u8]) -> Option<&Node> {
        self.place_of(name).map(|at| &self.before.nodes[at])
    }

    /// Where it stands there.
    pub fn place_of(&self, name: &[u8]) -> Option<usize> {
        let nodes = &self.before.nodes;
        let last = self.looked_at.get();
        let near = (last..last + 2).find(|&at| nodes.get(at).is_some_and(|node| node.name == name));
        let at = near.or_else(|| nodes.binary_search_by(|node| node.name.as_slice().cmp(name)).ok())?;
        self.looked_at.set(at);
        Some(at)
    }

    /// What stands there.
    pub fn before_at(&self, at: usize) -> &Node {
        &self.before.nodes[at]
    }

    /// Whether the name is the first of its kind here.
    fn claim(&mut self, name: &[u8]) -> bool {
        if self.names.is_none() && (self.children.is_empty() || name > self.last.as_slice()) {
            self.last.clear();
            self.last.extend_from_slice(name);
            return true;
        }
        let names = self
            .names
            .get_or_insert_with(|| self.children.iter().map(|child| child.name(&self.before).to_vec()).collect());
        names.insert(name.to_vec())
    }

    fn left(mut self, blobs_begun: u64) -> (Left, Vec<Node>) {
        // Names are different among the entries as they are among those before: all the same is nothing more and nothing less.
        let same = self.same == self.children.len() && self.same == self.before.nodes.len();
        if same && self.same_trees.is_empty() && self.before.tree.is_some() {
            // It is that tree, whatever becomes of others.
            self.children.clear();
        }
        let mut part = |child| match child {
            Child::Same(at) => {
                Part::Leaf(std::mem::replace(&mut self.before.nodes[at], Node::new(b"", NodeKind::File)))
            }
            Child::Own(part) => *part,
        };
        let parts = self.children.into_iter().map(&mut part).collect();
        let left = Left {
            number: self.number,
            parts,
            needs: blobs_begun,
            before: self.before.tree,
            same: same.then_some(self.same_trees),
        };
        (left, self.before.nodes)
    }
}

/// A folder that nobody described: owner-only, as old as the run.
pub fn undescribed(name: &[u8], modified: Timestamp) -> Node {
    Node { mode: 0o700, modified, changed: modified, links: 1, ..Node::new(name, NodeKind::Directory) }
}
