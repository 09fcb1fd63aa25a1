//! The sources of templates: built-in ones, and an administrator's files, which are read again when they change.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use minijinja::{Error, ErrorKind, TemplateSource};

/// The name and source of each built-in template, sorted by name. `build.rs` writes the list.
pub static BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// A prefix that always means the built-in template: an administrator's template can extend the built-in one that it
/// replaces.
pub const COMES_WITH_IT: &str = "built-in/";

/// The source of a built-in template.
pub fn built_in(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix(COMES_WITH_IT).unwrap_or(name);
    let at = BUILT_IN.binary_search_by_key(&name, |(name, _)| name);
    at.ok().map(|at| BUILT_IN[at].1)
}

/// The maximum number of bytes of an administrator's template.
const LONGEST: u64 = 256 * 1024;

/// The administrator's templates: `NAME.j2` in a folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// The properties of a file that show whether it has changed.
#[derive(PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// `None` if there is no such file.
    fn of(path: &Path) -> Option<Version> {
        let file = fs::metadata(path).ok()?;
        Some(Version {
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

impl Folder {
    /// The folder at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Folder {
        Folder(path.into())
    }

    /// The path of a template's file, which may not exist. `None` if it cannot be the name of a template: letters,
    /// digits, dots, hyphens and underscores.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        is_name(name).then(|| self.0.join(format!("{name}.j2")))
    }

    /// The names of the existing templates, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                let file = entry.file_name();
                let name = file.to_str()?.strip_suffix(".j2")?;
                is_name(name).then(|| name.to_owned())
            })
            .collect();
        names.sort();
        names
    }

    /// The source of a template: the file, or else the built-in one.
    ///
    /// # Errors
    /// If the file cannot be read, is too large, or is not UTF-8.
    pub fn load(&self, name: &str) -> Result<Option<TemplateSource>, Error> {
        let Some(path) = self.file(name) else {
            return Ok(built_in(name).map(TemplateSource::new));
        };
        let version = Version::of(&path);
        let source = match &version {
            Some(_) => Some(read(&path).map_err(|reason| unreadable(name, &reason))?),
            None => built_in(name).map(str::to_owned),
        };
        Ok(source.map(|source| {
            TemplateSource::new(source).with_uptodate_check(move || Version::of(&path) == version)
        }))
    }
}

/// Whether a text can be the name of a template. The format of a sending token has the same syntax.
pub fn is_name(name: &str) -> bool {
    name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn read(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it has more than {LONGEST} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn unreadable(name: &str, reason: &str) -> Error {
    Error::new(
        ErrorKind::TemplateNotFound,
        format!("{name}.j2 cannot be read: {reason}"),
    )
}
