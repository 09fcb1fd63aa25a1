//! The name of a field in a form or in JSON.

use std::borrow::Cow;

use serde::Deserialize;

/// A name. It is copied only if it is written with escapes.
#[derive(Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);
