//! The page on which people try this module: files that are compiled in.

/// A file that is served below the base path.
pub struct File {
    /// The last element of its path.
    pub name: &'static str,
    pub media_type: &'static str,
    pub text: &'static str,
}

/// The page, its style sheet, its script, its icon. In the page, `{{base}}` stands for the base path, `{{host}}` for the host.
pub static FILES: [File; 4] = [
    File {
        name: "page.html",
        media_type: "text/html; charset=utf-8",
        text: include_str!("page/page.html"),
    },
    File {
        name: "page.css",
        media_type: "text/css; charset=utf-8",
        text: include_str!("page/page.css"),
    },
    File {
        name: "page.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("page/page.js"),
    },
    File {
        name: "page.svg",
        media_type: "image/svg+xml",
        text: include_str!("page/page.svg"),
    },
];
