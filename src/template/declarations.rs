//! What a template declares of the program that posts: blocks that are no part of a message.

pub const PARAMETERS: &str = "parameters";
pub const PATHS: &str = "paths";
/// Words that say how requests are read: see [`Declarations`].
pub const TRAITS: &str = "traits";
/// Parameters that name the file that the body is.
pub const FILE_NAMES: &str = "file_names";
/// The member of the payload that has the sender's token.
pub const TOKEN: &str = "token";
/// The answer to a problem, with `problem()`.
pub const PROBLEM: &str = "problem";
/// What a user enters in the program, with `enter()`: a line for each of its settings.
pub const ENTER: &str = "enter";
/// Answers to `GET`, one a line, each after its path.
pub const PAGES: &str = "pages";

/// The blocks that are no part of a message.
pub const DECLARATIONS: [&str; 8] = [
    PARAMETERS, PATHS, TRAITS, FILE_NAMES, TOKEN, PROBLEM, ENTER, PAGES,
];

/// How a program posts, as its template declares it.
#[derive(Debug, Default)]
pub struct Declarations {
    /// Names of parameters, also after a further `?`.
    pub parameters: Vec<String>,
    /// Texts that it appends to its URL: the last elements of the path.
    pub paths: Vec<String>,
    /// `topic`: the path names a topic, which is a recipient, or any name if there is only one recipient.
    pub has_topics: bool,
    /// `text`: the body is text.
    pub takes_text: bool,
    /// Parameters that name the file that the body is.
    pub file_names: Vec<String>,
    /// The member of the payload that has the sender's token.
    pub token: Option<String>,
    /// Answers to `GET`, by path.
    pub pages: Vec<(String, String)>,
    /// Whether the program expects refusals in a form of its own.
    pub answers_problems: bool,
}

impl Declarations {
    /// Cuts the appended element off a recipient, and adds it to `elements`.
    pub fn cut(&self, recipient: String, elements: &mut Vec<String>) -> Option<String> {
        let Some((head, path)) = self.split(&recipient) else {
            return Some(recipient);
        };
        elements.push(path.to_owned());
        let head = head.trim_end_matches('/');
        (!head.is_empty()).then(|| head.to_owned())
    }

    /// Whether the program posts to this path, or gets it.
    pub fn is_path(&self, path: &str) -> bool {
        let page = path.trim_end_matches('/');
        self.split(path).is_some() || self.pages.iter().any(|(known, _)| known == page)
    }

    /// A path without the text that the program appends, and the declared text: its last element may be `*`.
    pub fn split<'a>(&'a self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let path = path.trim_end_matches('/');
        self.paths.iter().find_map(|known| {
            let (path, end) = match known.strip_suffix("/*") {
                Some(end) => (path.rsplit_once('/')?.0, end),
                None => (path, known.as_str()),
            };
            let head = path.strip_suffix(end)?;
            (head.is_empty() || head.ends_with('/')).then_some((head, known.as_str()))
        })
    }
}
