//! Writes the list of `templates/*.j2` that [`source`](src/template/source.rs) includes: a new template needs no code.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=templates");
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("templates.rs"), templates()).expect("written");
    // The addresses that the loader adjusts, as a bitmap (glibc 2.36): the library has 5.5 MB, and 6.2 MB without this.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,pack-relative-relocs");
}

/// Rust source: name and source of each template, by name.
fn templates() -> String {
    let root = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let entries = fs::read_dir(Path::new(&root).join("templates")).expect("the templates");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "j2"));
    paths.sort();
    let mut list = "&[\n".to_owned();
    for path in &paths {
        let name = path.file_stem().expect("a name").to_string_lossy();
        writeln!(list, "({name:?}, include_str!({path:?})),").expect("a string takes all");
    }
    list + "]"
}
