//! Signatures of webhooks, for Lua.

use mlua::{Lua, Result, Table, UserData, UserDataMethods};

use super::digest::piece;
use crate::credentials::signature::{Claims, Signature};

type Bytes = mlua::String;

/// A [`Signature`] that takes a body in pieces; none where something is claimed that cannot be.
pub struct LuaSignature(Option<Signature>);

/// `signature(secret, headers)` → a [`LuaSignature`] of nothing yet.
pub fn new(_: &Lua, (secret, headers): (Bytes, Table)) -> Result<LuaSignature> {
    let header = |name: &str| headers.get::<Option<Bytes>>(name);
    let (hub, gitea) = (header("x_hub_signature_256")?, header("x_gitea_signature")?);
    let (gogs, gitlab) = (header("x_gogs_signature")?, header("x_gitlab_token")?);
    let [hub, gitea, gogs, gitlab] = [&hub, &gitea, &gogs, &gitlab]
        .map(|header| header.as_ref().map(|header| header.as_bytes()));
    let claims = Claims {
        hub: hub.as_deref(),
        gitea: gitea.as_deref(),
        gogs: gogs.as_deref(),
        gitlab: gitlab.as_deref(),
    };
    Ok(LuaSignature(Signature::new(&secret.as_bytes(), claims)))
}

impl UserData for LuaSignature {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(bytes, from) → where to go on, or nil at the end; `from` counts from 0
        methods.add_method_mut("add", |_, this, (bytes, from): (Bytes, usize)| {
            let bytes = bytes.as_bytes();
            let (piece, next) = piece(&bytes, from);
            if let Some(signature) = &mut this.0 {
                signature.update(piece);
            }
            Ok(next)
        });
        // right() → whether the body is signed
        methods.add_method("right", |_, this, ()| {
            Ok(this.0.as_ref().is_some_and(Signature::is_right))
        });
    }
}
