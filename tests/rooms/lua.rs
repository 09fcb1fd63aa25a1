//! Compares the files of `lua/` with the rules of the house: imports, lengths, problems.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::circle;

/// Sources by the name under which they are imported.
type Sources = BTreeMap<String, String>;

const LONGEST_FUNCTION: usize = 50;
const MOST_PARAMETERS: usize = 5;

#[test]
fn the_lua_files_keep_to_the_rules() {
    let mut sources = Sources::new();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/lua"));
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name").split('.').next().unwrap_or_default();
        sources.insert(name.to_owned(), fs::read_to_string(&path).expect("a file"));
    }
    assert!(sources.len() > 10, "{:?}", sources.keys());
    let faults = faults(&sources);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn faults(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    let mut edges = BTreeMap::new();
    for (name, source) in sources {
        let code: Vec<&str> = source.lines().map(code_of).collect();
        let imports = imports_of(&code);
        for import in &imports {
            if !sources.contains_key(import) {
                faults.push(format!("{name} imports {import}, which is no file of lua/"));
            }
        }
        if name != "mod_post_msg"
            && code
                .iter()
                .any(|line| line.starts_with("function module.import"))
        {
            faults.push(format!(
                "{name} defines module.import, which mod_post_msg.lua does"
            ));
        }
        faults.extend(
            functions_of(&code)
                .into_iter()
                .map(|fault| format!("{name}: {fault}")),
        );
        if name != "problems" {
            let literal = |line: &&&str| line.replace(' ', "").contains("{status=");
            faults.extend(code.iter().find(literal).map(|line| {
                format!(
                    "{name} makes a problem without problems.new: {}",
                    line.trim()
                )
            }));
        }
        let known = |import: &String| sources.contains_key(import);
        edges.insert(
            name.as_str(),
            imports.into_iter().filter(known).collect::<BTreeSet<_>>(),
        );
    }
    for name in sources.keys() {
        if let Some(circle) = circle(name, &edges) {
            faults.push(format!("a circle of imports: {}", circle.join(" → ")));
        }
    }
    faults.extend(against_the_map(sources, &edges));
    faults
}

/// A line without its comment and its indentation of texts: `--` in a text does not occur.
fn code_of(line: &str) -> &str {
    line.split("--").next().unwrap_or_default().trim_end()
}

/// The names in `module.import "name"`.
fn imports_of(code: &[&str]) -> BTreeSet<String> {
    let after = code
        .iter()
        .flat_map(|line| line.split("module.import \"").skip(1));
    after
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// What is wrong with the functions of a file: their length, and how many parameters they have.
fn functions_of(code: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, line) in code.iter().enumerate() {
        let Some((before, rest)) = line.split_once("function") else {
            continue;
        };
        let indentation = &line[..line.len() - line.trim_start().len()];
        let heads = before.trim_start();
        if !(heads.is_empty() || heads == "local " || heads.ends_with(['=', '(', ' ', ','])) {
            continue;
        }
        let name = rest.split('(').next().unwrap_or_default().trim();
        let parameters = rest.split(['(', ')']).nth(1).unwrap_or_default();
        let count = parameters
            .split(',')
            .filter(|p| !p.trim().is_empty())
            .count();
        if count > MOST_PARAMETERS {
            faults.push(format!("line {}: {name} has {count} parameters", at + 1));
        }
        if parameters.trim() == "parts" {
            faults.push(format!("line {}: {name} is given its parts", at + 1));
        }
        let ends = |line: &&str| {
            line.strip_prefix(indentation)
                .is_some_and(|rest| rest.starts_with("end"))
        };
        // A function that ends on its own line has no end at its indentation.
        let opened = line.matches("function").count()
            + line.matches(" then").count()
            + line.matches(" do").count();
        let closed = line
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|w| *w == "end")
            .count();
        if closed >= opened {
            continue;
        }
        let length = code[at + 1..]
            .iter()
            .position(ends)
            .map_or(usize::MAX, |length| length + 2);
        if length > LONGEST_FUNCTION {
            faults.push(format!("line {}: {name} has {length} lines", at + 1));
        }
    }
    faults
}

/// The names of the map at the head of `mod_post_msg.lua`, from the top down: its lines begin with names, then two spaces.
fn map_of(head: &str) -> Vec<&str> {
    let lines = head.lines().map_while(|line| line.strip_prefix("--"));
    let rows = lines.filter_map(|line| line.strip_prefix("   "));
    let names = rows.filter_map(|row| row.split("  ").next());
    names
        .flat_map(|names| names.split(", "))
        .filter(|name| !name.is_empty())
        .collect()
}

/// The files that the map does not name, and the imports that do not go down in it.
fn against_the_map(sources: &Sources, edges: &BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    let map = map_of(sources.get("mod_post_msg").map_or("", String::as_str));
    let place = |name: &str| map.iter().position(|other| *other == name);
    let mut faults = Vec::new();
    for (name, imports) in edges.iter().filter(|(name, _)| **name != "mod_post_msg") {
        let Some(at) = place(name) else {
            faults.push(format!("the map of mod_post_msg.lua does not name {name}"));
            continue;
        };
        let up = imports
            .iter()
            .filter(|import| place(import).is_some_and(|other| other <= at));
        faults
            .extend(up.map(|up| format!("{name} imports {up}, which is not below it in the map")));
    }
    let gone = map.iter().filter(|name| !sources.contains_key(**name));
    faults.extend(gone.map(|name| format!("the map names {name}, which is no file of lua/")));
    faults
}

// Each rule is seen to fail.

#[track_caller]
fn found(files: &[(&str, &str)], says: Option<&str>) {
    let head = "-- The map:\n--   a             one\n--   b, problems   two\nfunction module.import(name)\nend\nlocal a = module.import \"a\";\n";
    let mut sources: Sources = [
        ("mod_post_msg", head),
        ("a", ""),
        ("b", ""),
        ("problems", ""),
    ]
    .iter()
    .chain(files)
    .map(|(name, source)| ((*name).to_owned(), (*source).to_owned()))
    .collect();
    sources.retain(|_, source| source != "-");
    let faults = faults(&sources).join("\n");
    match says {
        Some(says) => assert!(faults.contains(says), "{faults:?}"),
        None => assert_eq!(faults, ""),
    }
}

#[test]
fn a_circle_of_lua_files_is_found() {
    found(&[("a", "local b = module.import \"b\".new;")], None);
    found(&[("b", "-- module.import \"a\"")], None);
    found(
        &[
            ("a", "local b = module.import \"b\";"),
            ("b", "local f = module.import \"a\".f;"),
        ],
        Some("a circle of imports: a → b → a"),
    );
    found(&[("a", "local a = module.import \"a\";")], Some("a → a"));
    found(
        &[("a", "local c = module.import \"c\";")],
        Some("a imports c, which is no file"),
    );
}

#[test]
fn long_functions_of_lua_are_found() {
    let function = |lines: usize| format!("local function f(x)\n{}end\n", "\tg();\n".repeat(lines));
    found(&[("a", &function(48))], None);
    found(&[("a", &function(49))], Some("a: line 1: f has 51 lines"));
    let inner = format!(
        "\tlocal t = {{\n\t\tg = function (x)\n{}\t\tend;\n\t}};\n",
        "\t\t\tg();\n".repeat(49)
    );
    found(&[("a", &inner)], Some("line 2:  has 51 lines"));
    found(&[("a", "local function f() return 1; end\n")], None);
    found(
        &[("a", "local f = function (a, b, c, d, e, f) end")],
        Some("6 parameters"),
    );
    found(
        &[("a", "local function init(parts) end")],
        Some("is given its parts"),
    );
}

#[test]
fn other_faults_of_lua_files_are_found() {
    found(
        &[("a", "return nil, { status = 400; detail = \"\" };")],
        Some("a makes a problem"),
    );
    found(
        &[("problems", "local kinds = { x = { status = 400 } };")],
        None,
    );
    found(&[("c", "")], Some("does not name c"));
    found(&[("b", "-")], Some("the map names b, which is no file"));
    found(
        &[("b", "local a = module.import \"a\";")],
        Some("b imports a, which is not below it"),
    );
    found(&[("b", "-")], Some("the map names b, which is no file"));
    found(
        &[("b", "local a = module.import \"a\";")],
        Some("b imports a, which is not below it"),
    );
    found(
        &[("b", "function module.import() end")],
        Some("defines module.import"),
    );
}
