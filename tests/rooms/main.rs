//! Compares the sources with the map of rooms in `src/lib.rs`, and the files of `lua/` with theirs: which file imports which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

mod lua;

/// Sources by their path below `src/`.
type Sources = BTreeMap<String, String>;

const LONGEST: usize = 500;

#[test]
fn the_sources_keep_to_the_map() {
    let mut sources = Sources::new();
    collect(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        "",
        &mut sources,
    );
    assert!(sources.len() > 10, "{:?}", sources.keys());
    let faults = faults(&sources);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn collect(folder: &Path, below: &str, sources: &mut Sources) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let place = format!("{below}{name}");
        if path.is_dir() {
            collect(&path, &(place + "/"), sources);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            sources.insert(place, fs::read_to_string(&path).expect("a source"));
        }
    }
}

fn faults(sources: &Sources) -> Vec<String> {
    let map = map_of(&sources["lib.rs"]);
    let modules: BTreeMap<String, &String> = sources
        .iter()
        .filter(|(place, _)| *place != "lib.rs")
        .map(|(place, source)| (place.trim_end_matches(".rs").replace('/', "::"), source))
        .collect();
    let mut faults = Vec::new();

    let rooms: BTreeSet<&str> = modules.keys().map(|module| room(module)).collect();
    let drawn: BTreeSet<&str> = map.iter().map(|(room, _)| room.as_str()).collect();
    if rooms != drawn {
        faults.push(format!(
            "the rooms are {rooms:?}, and the map has {drawn:?}"
        ));
    }
    for (at, (room, imports)) in map.iter().enumerate() {
        let below: Vec<_> = map[at + 1..].iter().map(|(room, _)| room).collect();
        if let Some(up) = imports.iter().find(|import| !below.contains(import)) {
            faults.push(format!(
                "the map: {room} imports {up}, which is not below it"
            ));
        }
    }

    let mut edges: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (module, source) in &modules {
        if source.lines().count() > LONGEST {
            faults.push(format!("{module} has more than {LONGEST} lines"));
        }
        let code = code_of(source);
        if room(module) != "binding" && code.contains("mlua") {
            faults.push(format!(
                "{module} knows mlua, which only the room binding may"
            ));
        }
        let imported = paths_of(&code)
            .iter()
            .filter_map(|path| target(path, module, &modules))
            .filter(|target| target != module)
            .collect::<BTreeSet<_>>();
        for target in &imported {
            let allowed = map
                .iter()
                .find(|(name, _)| name == room(module))
                .is_some_and(|(_, imports)| imports.iter().any(|import| import == room(target)));
            if room(target) != room(module) && !allowed {
                faults.push(format!("{module} imports {target}, against the map"));
            }
        }
        edges.insert(module, imported);
    }
    for module in modules.keys() {
        if let Some(circle) = circle(module, &edges) {
            faults.push(format!("a circle of imports: {}", circle.join(" → ")));
        }
    }
    if sources["lib.rs"].lines().count() >= 100 {
        faults.push("lib.rs is a map and an entry point, and has 100 lines or more".to_owned());
    }
    faults
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// The rows of the table of rooms: the name in the first column, and the allowed imports in the last.
fn map_of(lib: &str) -> Vec<(String, Vec<String>)> {
    let rows = lib
        .lines()
        .skip_while(|line| !line.starts_with("//! | room |"))
        .skip(2);
    rows.take_while(|line| line.starts_with("//! |"))
        .map(|row| {
            let named = |cell: &str| -> Vec<String> {
                cell.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(str::to_owned)
                    .collect()
            };
            let cells: Vec<_> = row.trim_end_matches('|').split('|').collect();
            (named(cells[1]).remove(0), named(cells[cells.len() - 1]))
        })
        .collect()
}

/// A source without comments and without its tests, which come last.
fn code_of(source: &str) -> String {
    let lines = source.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = lines.map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Every path in an import or in code.
fn paths_of(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let begins = rest[..at].ends_with(['\n', ' ']) || at == 0;
        rest = &rest[at + 4..];
        if let Some(end) = rest.find(';').filter(|_| begins) {
            let tree: String = rest[..end].split_whitespace().collect();
            expand("", &tree, &mut paths);
        }
    }
    for begin in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(begin) {
            let path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = code[at..].find(|c| !path(c)).unwrap_or(code.len() - at);
            paths.push(code[at..at + end].trim_end_matches(':').to_owned());
        }
    }
    paths
}

/// `a::{b, c::{d}}` → `a::b`, `a::c::d`.
fn expand(before: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((path, group)) = tree.split_once('{') else {
        return paths.push(format!("{before}{tree}"));
    };
    let before = format!("{before}{path}");
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&before, &group[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&before, &group[start..], paths);
}

/// The module that a path written in `module` leads to.
fn target(path: &str, module: &str, modules: &BTreeMap<String, &String>) -> Option<String> {
    let mut place: Vec<&str> = module.split("::").collect();
    let mut segments = path.split("::").peekable();
    match *segments.peek()? {
        "crate" => place.clear(),
        "self" | "super" => {}
        first if modules.contains_key(&format!("{module}::{first}")) => {}
        _ => return None,
    }
    for segment in segments {
        if segment == "super" {
            place.pop();
        }
        if matches!(segment, "crate" | "self" | "super") {
            continue;
        }
        place.push(segment);
        if !modules.contains_key(&place.join("::")) {
            place.pop();
            break;
        }
    }
    (!place.is_empty()).then(|| place.join("::"))
}

/// The shortest way from a module back to itself.
fn circle(module: &str, edges: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = vec![vec![module.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        for way in std::mem::take(&mut ways) {
            for next in &edges[way.last().expect("a module").as_str()] {
                let further = [&way[..], std::slice::from_ref(next)].concat();
                if next == module {
                    return Some(further);
                }
                if seen.insert(next.clone()) {
                    ways.push(further);
                }
            }
        }
    }
    None
}

// Each rule has a test that sees it fail.

const MAP: &str = "//! | room | what | imports |\n//! |---|---|---|\n\
    //! | [`binding`] | x | `payload`, `http` |\n//! | [`payload`] | x | `http` |\n//! | [`http`] | x | nothing |\n";

#[track_caller]
fn found(files: &[(&str, &str)], says: Option<&str>) {
    let mut sources: Sources = [
        ("lib.rs", MAP),
        ("binding.rs", "use mlua::Lua;"),
        ("payload.rs", "pub mod json;"),
        ("http.rs", ""),
    ]
    .iter()
    .chain(files)
    .map(|(place, source)| ((*place).to_owned(), (*source).to_owned()))
    .collect();
    sources.entry("payload/json.rs".to_owned()).or_default();
    let faults = faults(&sources).join("\n");
    match says {
        Some(says) => assert!(faults.contains(says), "{faults:?}"),
        None => assert_eq!(faults, ""),
    }
}

#[test]
fn imports_of_lower_rooms_are_allowed() {
    let file = "// crate::binding is above\nuse std::{fs, io};\nuse crate::http;\n#[cfg(test)]\nmod tests {\n    use crate::binding;\n}\n";
    found(&[("payload/json.rs", file)], None);
    found(&[("payload.rs", "mod json;\nuse json::read;\n")], None);
}

#[test]
fn imports_against_the_map_are_found_in_every_notation() {
    for import in [
        "use crate::binding;",
        "use crate::{http, binding::x};",
        "fn f() { crate::binding::x() }",
        "use super::super::binding;",
        "pub use crate::binding::{\n    a, b,\n};",
    ] {
        let says = "payload::json imports binding, against the map";
        found(&[("payload/json.rs", import)], Some(says));
    }
    found(
        &[("lib.rs", &MAP.replace("x | nothing", "x | `binding`"))],
        Some("http imports binding, which is not below"),
    );
}

#[test]
fn circles_are_found() {
    let parent = "pub mod json;\nuse json::read;\npub struct Draft;";
    found(
        &[
            ("payload.rs", parent),
            ("payload/json.rs", "use super::Draft;"),
        ],
        Some("payload → payload::json → payload"),
    );
    found(
        &[
            ("payload/json.rs", "use super::text::x;"),
            ("payload/text.rs", "use crate::payload::json;"),
        ],
        Some("payload::json → payload::text → payload::json"),
    );
}

#[test]
fn other_faults_are_found() {
    found(
        &[("http.rs", "fn f(_: mlua::Lua) {}")],
        Some("http knows mlua"),
    );
    found(&[("attic.rs", "")], Some("the rooms are"));
    found(
        &[("http.rs", &"\n".repeat(LONGEST + 1))],
        Some("more than 500 lines"),
    );
    found(
        &[("lib.rs", &(MAP.to_owned() + &"\n".repeat(100)))],
        Some("100 lines or more"),
    );
}
