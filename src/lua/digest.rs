//! The SHA-256 of bytes, for Lua.

use mlua::{Lua, Result, UserData, UserDataMethods};
use sha2::{Digest as _, Sha256};

/// As much is taken at once as leaves the event loop free.
const PIECE: usize = 128 * 1024;

/// The piece that begins at an index, and where the next one does.
pub fn piece(bytes: &[u8], from: usize) -> (&[u8], Option<usize>) {
    let rest = bytes.get(from..).unwrap_or_default();
    let piece = &rest[..rest.len().min(PIECE)];
    (
        piece,
        (piece.len() < rest.len()).then_some(from + piece.len()),
    )
}

/// Takes bytes in pieces.
pub struct Digest(Sha256);

/// `digest()` → a [`Digest`] of nothing yet.
pub fn new(_: &Lua, (): ()) -> Result<Digest> {
    Ok(Digest(Sha256::new()))
}

impl UserData for Digest {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(bytes, from) → where to go on, or nil at the end; `from` counts from 0
        methods.add_method_mut("add", |_, this, (bytes, from): (mlua::String, usize)| {
            let bytes = bytes.as_bytes();
            let (piece, next) = piece(&bytes, from);
            this.0.update(piece);
            Ok(next)
        });
        // finish() → the hash, in hexadecimal digits
        methods.add_method("finish", |_, this, ()| {
            Ok(format!("{:x}", this.0.clone().finalize()))
        });
    }
}
