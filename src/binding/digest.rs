//! The SHA-256 of bytes that are read in pieces.

use memchr::memmem::Finder;
use mlua::{Lua, Result, UserData, UserDataMethods};
use sha2::{Digest as _, Sha256};

/// The size of a piece in bytes: small enough not to block the event loop.
const PIECE: usize = 128 * 1024;

/// Adds the method `add(bytes, from)`: takes the piece of `bytes` that begins at the index `from`, which counts from 0; returns the
/// index of the next piece, or nil at the end. `update` gets the rest of the bytes and the length of a piece, and returns how many it
/// has taken: at least so many.
pub fn add_pieces<T: 'static>(
    methods: &mut impl UserDataMethods<T>,
    update: impl Fn(&mut T, &[u8], usize) -> usize + 'static,
) {
    methods.add_method_mut(
        "add",
        move |_, this, (bytes, from): (mlua::String, usize)| {
            let bytes = bytes.as_bytes();
            let rest = bytes.get(from..).unwrap_or_default();
            let taken = update(this, rest, rest.len().min(PIECE));
            Ok((taken < rest.len()).then_some(from + taken))
        },
    );
}

/// The hash so far, and the delimiter of multipart that it leaves out.
pub struct Digest(Sha256, Option<Finder<'static>>);

/// `digest(boundary)` → an empty [`Digest`] of bytes without this boundary of multipart, or of all bytes if it is nil.
pub fn new(_: &Lua, boundary: Option<mlua::String>) -> Result<Digest> {
    let delimiter = boundary.map(|boundary| [b"--", &*boundary.as_bytes()].concat());
    let finder = delimiter.map(|delimiter| Finder::new(&delimiter).into_owned());
    Ok(Digest(Sha256::new(), finder))
}

impl Digest {
    /// Adds the first `len` of the bytes, and a delimiter that begins in them. Returns the number of bytes that it has added.
    fn add(&mut self, bytes: &[u8], len: usize) -> usize {
        let Some(finder) = &self.1 else {
            self.0.update(&bytes[..len]);
            return len;
        };
        let delimiter = finder.needle().len();
        let mut at = 0;
        let end = bytes.len().min(len + delimiter - 1);
        for found in finder.find_iter(&bytes[..end]) {
            self.0.update(&bytes[at..found]);
            self.0.update(b"--");
            at = found + delimiter;
        }
        if at < len {
            self.0.update(&bytes[at..len]);
        }
        at.max(len)
    }
}

impl UserData for Digest {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(bytes, from) → see `add_pieces`
        add_pieces(methods, |this: &mut Digest, bytes, len| {
            this.add(bytes, len)
        });
        // finish() → the hash, in hexadecimal digits
        methods.add_method("finish", |_, this, ()| {
            Ok(format!("{:x}", this.0.clone().finalize()))
        });
    }
}
