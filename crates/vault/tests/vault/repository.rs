//! What the repository engine promises, on our own stores.

use super::repository_samples::{assert_restores, back_up, init, sample};
use std::sync::Arc;
use vault::store::LocalStore;

#[test]
fn what_is_backed_up_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let repository = init(Arc::new(LocalStore::open(folder.path()).unwrap()));
    let first = back_up(&repository, &sample(1), None, 2).unwrap();
    let second = back_up(&repository, &sample(2), Some(first), 0).unwrap();
    assert_restores(&repository, first, &sample(1));
    assert_restores(&repository, second, &sample(2));
}
