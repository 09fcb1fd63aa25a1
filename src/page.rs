//! The page on which people try this module: files that are compiled in.

use crate::http::content_coding::{self, Coding};
use crate::http::memory::Share;
use crate::http::problem::Problem;

/// A file that is served below the base path.
pub struct File {
    pub name: &'static str,
    pub media_type: &'static str,
    /// Compressed (zlib): see `build.rs`.
    packed: &'static [u8],
}

/// The page, its style sheet, its script, its icon. In the page, `{{base}}` stands for the base path.
pub static FILES: [File; 4] = [
    File {
        name: "page.html",
        media_type: "text/html; charset=utf-8",
        packed: include_bytes!(concat!(env!("OUT_DIR"), "/page.html.zlib")),
    },
    File {
        name: "page.css",
        media_type: "text/css; charset=utf-8",
        packed: include_bytes!(concat!(env!("OUT_DIR"), "/page.css.zlib")),
    },
    File {
        name: "page.js",
        media_type: "text/javascript; charset=utf-8",
        packed: include_bytes!(concat!(env!("OUT_DIR"), "/page.js.zlib")),
    },
    File {
        name: "page.svg",
        media_type: "image/svg+xml",
        packed: include_bytes!(concat!(env!("OUT_DIR"), "/page.svg.zlib")),
    },
];

impl File {
    /// # Errors
    /// None but for lack of time.
    pub fn text(&self) -> Result<String, Problem> {
        let bytes = content_coding::undo(
            &[Coding::Deflate],
            self.packed,
            1 << 20,
            &Share::alone(1 << 20),
        )?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
