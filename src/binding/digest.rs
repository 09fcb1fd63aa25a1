//! The SHA-256 of bytes that are read in pieces.

use mlua::{Lua, Result, UserData, UserDataMethods};
use sha2::{Digest as _, Sha256};

/// The size of a piece in bytes: small enough not to block the event loop.
const PIECE: usize = 128 * 1024;

/// Adds the method `add(bytes, from)`: takes the piece of `bytes` that begins at the index `from`, which counts from 0; returns the
/// index of the next piece, or nil at the end.
pub fn add_pieces<T: 'static>(
    methods: &mut impl UserDataMethods<T>,
    update: impl Fn(&mut T, &[u8]) + 'static,
) {
    methods.add_method_mut(
        "add",
        move |_, this, (bytes, from): (mlua::String, usize)| {
            let bytes = bytes.as_bytes();
            let rest = bytes.get(from..).unwrap_or_default();
            let piece = &rest[..rest.len().min(PIECE)];
            update(this, piece);
            Ok((piece.len() < rest.len()).then_some(from + piece.len()))
        },
    );
}

/// The hash so far.
pub struct Digest(Sha256);

/// `digest()` → an empty [`Digest`].
pub fn new(_: &Lua, (): ()) -> Result<Digest> {
    Ok(Digest(Sha256::new()))
}

impl UserData for Digest {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(bytes, from) → see `add_pieces`
        add_pieces(methods, |this: &mut Digest, piece| this.0.update(piece));
        // finish() → the hash, in hexadecimal digits
        methods.add_method("finish", |_, this, ()| {
            Ok(format!("{:x}", this.0.clone().finalize()))
        });
    }
}
