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

/// The hash of a request.
pub struct Digest {
    hash: Sha256,
    /// Finds the delimiters of multipart, which the hash leaves out: each begins with a line end.
    delimiters: Option<Finder<'static>>,
    /// Whether the first byte of the body comes next. The first delimiter may lack its line end.
    is_at_start: bool,
}

/// `digest(head, boundary)` → the [`Digest`] of a request's head, to which its body is added: without this boundary of multipart, or
/// as it is if the boundary is nil.
pub fn new(_: &Lua, (head, boundary): (mlua::String, Option<mlua::String>)) -> Result<Digest> {
    let delimiter = boundary.map(|boundary| [b"\r\n--", &*boundary.as_bytes()].concat());
    Ok(Digest {
        hash: Sha256::new_with_prefix(head.as_bytes()),
        delimiters: delimiter.map(|delimiter| Finder::new(&delimiter).into_owned()),
        is_at_start: true,
    })
}

impl Digest {
    /// Adds the first `len` of the bytes, and a delimiter that begins in them. Returns the number of bytes that it has added.
    fn add(&mut self, bytes: &[u8], len: usize) -> usize {
        let Some(finder) = &self.delimiters else {
            self.hash.update(&bytes[..len]);
            return len;
        };
        let delimiter = finder.needle();
        let first = &delimiter[2..];
        let mut at = match std::mem::take(&mut self.is_at_start) && bytes.starts_with(first) {
            true => first.len(),
            false => 0,
        };
        let end = bytes.len().min(len + delimiter.len() - 1);
        for found in finder.find_iter(&bytes[..end]) {
            self.hash.update(&bytes[at..found]);
            self.hash.update(b"\r\n--");
            at = found + delimiter.len();
        }
        if at < len {
            self.hash.update(&bytes[at..len]);
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
            Ok(format!("{:x}", this.hash.clone().finalize()))
        });
    }
}
