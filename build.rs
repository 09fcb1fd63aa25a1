//! Makes what the sources include: the list of `templates/*.j2`, the table of emoji, and compressed, `src/openapi.json` and
//! the files of `src/page`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::ZlibEncoder;

fn main() {
    println!("cargo:rerun-if-changed=templates");
    println!("cargo:rerun-if-changed=src/openapi.json");
    println!("cargo:rerun-if-changed=src/page");
    write("templates.rs", templates().as_bytes());
    write("emoji.rs", emoji().as_bytes());
    write("openapi.json.zlib", &openapi());
    for name in ["page.html", "page.css", "page.js", "page.svg"] {
        let text = fs::read_to_string(format!("src/page/{name}")).expect(name);
        write(&format!("{name}.zlib"), &compressed(&text));
    }
    // The places that a loader must adjust, as a bitmap (glibc 2.36): a tenth of the library otherwise.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,pack-relative-relocs");
}

fn write(name: &str, content: &[u8]) {
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join(name), content).expect("written");
}

/// Name and source of each template, by name.
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

/// Every shortcode and its emoji behind it, in one text, in order; and where each of both begins. Without pointers,
/// which a library that can be loaded anywhere has a table of.
fn emoji() -> String {
    let all =
        emojis::iter().flat_map(|emoji| emoji.shortcodes().map(|code| (code, emoji.as_str())));
    let all: BTreeMap<&str, &str> = all.collect();
    let (mut text, mut places) = (String::new(), Vec::new());
    for (code, emoji) in all {
        places.push([text.len(), text.len() + code.len()]);
        text += code;
        text += emoji;
    }
    places.push([text.len(); 2]);
    format!("pub static TEXT: &str = {text:?};\npub static PLACES: &[[u32; 2]] = &{places:?};\n")
}

/// Each line without the spaces at its beginning; a quarter of its bytes, compressed.
fn openapi() -> Vec<u8> {
    let text = fs::read_to_string("src/openapi.json").expect("src/openapi.json");
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    compressed(&lines.join("\n"))
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(text.as_bytes())
        .expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}
