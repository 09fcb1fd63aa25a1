//! The sources of templates: those that come with the module, and the administrator's own, which are
//! read again when their file changes.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use minijinja::{Error, ErrorKind, TemplateSource};

/// Name and source of each template that comes with the module, by name.
pub static BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// Templates that come with the module are known with this before their name, too, so that one of the
/// administrator's can extend the one whose place it takes.
const COMES_WITH_IT: &str = "built-in/";

/// The source of a template that comes with the module.
pub fn built_in(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix(COMES_WITH_IT).unwrap_or(name);
    let at = BUILT_IN.binary_search_by_key(&name, |(name, _)| name);
    at.ok().map(|at| BUILT_IN[at].1)
}

/// As many bytes a template of the administrator's has at most.
const LONGEST: u64 = 256 * 1024;

/// The administrator's own templates: `NAME.j2` in a folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// What is looked at to know whether a file has changed.
#[derive(PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// `None` where there is no such file.
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
    pub fn new(path: impl Into<PathBuf>) -> Folder {
        Folder(path.into())
    }

    /// The file of a template, whether or not it is there. `None` where the name is none of a template:
    /// letters, digits, dots, hyphens and underscores.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        is_name(name).then(|| self.0.join(format!("{name}.j2")))
    }

    /// The names of the templates that are there, in order.
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

    /// The source of a template: the file's where there is one, else that which comes with the module.
    ///
    /// # Errors
    /// Where the file cannot be read, is too large, or is not UTF-8.
    pub fn load(&self, name: &str) -> Result<Option<TemplateSource>, Error> {
        let Some(path) = self.file(name) else {
            return Ok(built_in(name).map(TemplateSource::new));
        };
        let version = Version::of(&path);
        let source = match &version {
            Some(_) => Some(read(&path).map_err(|what| unreadable(name, &what))?),
            None => built_in(name).map(str::to_owned),
        };
        Ok(source.map(|source| {
            TemplateSource::new(source).with_uptodate_check(move || Version::of(&path) == version)
        }))
    }
}

/// Whether a text can be the name of a template; that of a sending token's format is of the same form.
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

fn unreadable(name: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::TemplateNotFound,
        format!("{name}.j2 cannot be read: {what}"),
    )
}
