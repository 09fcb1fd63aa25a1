//! Hashes that stand for secrets.

/// A keyed hash. The key belongs to this process, so the hash is useless elsewhere. It has no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub(super) [u8; 32]);
