//! What a person should know about a component that was read: the first thousand in full, the rest counted.

use super::super::Context;
use crate::manifest::State;

const KEPT_MAX: usize = 1_000;

/// Collects warnings and whether something is missing.
#[derive(Default)]
pub struct Warnings {
    kept: Vec<String>,
    more: u64,
    missing: bool,
}

impl Warnings {
    /// Something that is as it should be, but worth knowing.
    pub fn note(&mut self, context: &Context<'_>, text: String) {
        context.progress.warning(&text);
        if self.kept.len() < KEPT_MAX {
            self.kept.push(text);
        } else {
            self.more += 1;
        }
    }

    /// Something is missing from the backup, or not as it was: the component is only partly there.
    pub fn missing(&mut self, context: &Context<'_>, text: String) {
        self.missing = true;
        self.note(context, text);
    }

    /// The state that follows, and the texts.
    pub fn finish(mut self) -> (State, Vec<String>) {
        if self.more > 0 {
            self.kept.push(format!("and {} more warnings", self.more));
        }
        (if self.missing { State::Partial } else { State::Succeeded }, self.kept)
    }
}
