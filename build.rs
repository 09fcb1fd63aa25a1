//! Lists `templates/*.j2` for `src/template/source.rs`.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=templates");
    let folder =
        Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("templates");
    let entries = fs::read_dir(&folder).expect("the folder of templates");
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
    list.push(']');
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("templates.rs"), list).expect("written");
}
