//! Checks the places that repeat the version of Cargo.toml.

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_rock_has_the_version_of_the_crate() {
    let rockspec = read(&format!("mod_post_msg-{VERSION}-1.rockspec"));
    assert!(rockspec.contains(&format!("\nversion = \"{VERSION}-1\"\n")));
}

#[test]
fn the_lua_half_has_the_version_of_the_crate() {
    let native = read("lua/loader.lib.lua");
    assert!(native.contains(&format!("\nlocal version = \"{VERSION}\";\n")));
}

#[test]
fn the_page_on_packages_names_the_package_of_this_version() {
    let page = read("docs/packages.md");
    assert!(page.contains(&format!("/prosody-mod-post-msg_{VERSION}_amd64.deb")));
}
