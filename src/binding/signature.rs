//! The signature of a webhook whose body is read in pieces.

use mlua::{UserData, UserDataMethods};

use super::digest::add_pieces;
use crate::credentials::signature::Signature;

/// A [`Signature`], or `None` if a header of it is malformed.
pub struct LuaSignature(pub Option<Signature>);

impl UserData for LuaSignature {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(bytes, from) → see `add_pieces`
        add_pieces(methods, |this: &mut LuaSignature, bytes, len| {
            if let Some(signature) = &mut this.0 {
                signature.update(&bytes[..len]);
            }
            len
        });
        // is_right() → whether the body is signed
        methods.add_method("is_right", |_, this, ()| {
            Ok(this.0.as_ref().is_some_and(Signature::is_right))
        });
    }
}
