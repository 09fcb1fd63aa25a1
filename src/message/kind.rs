//! The type of a message.

/// The type of a message (RFC 6121, section 5.2.2), except `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chat,
    Normal,
    Headline,
    Groupchat,
}

impl Kind {
    /// The names of the types.
    pub const WORDS: [&str; 4] = ["chat", "normal", "headline", "groupchat"];

    /// The type with this name.
    pub fn named(word: &str) -> Option<Kind> {
        [Kind::Chat, Kind::Normal, Kind::Headline, Kind::Groupchat]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }

    /// The name of the type, as in a stanza.
    pub fn as_str(self) -> &'static str {
        Kind::WORDS[self as usize]
    }
}
