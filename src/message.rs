//! Draft → message: each field a type that cannot hold a bad value.

use crate::address::{Address, Server, quote};
use crate::payload::Draft;
use crate::problem::Problem;
use crate::stanza::{Element, escaped_len};
use crate::xhtml::{self, Fragment};

/// Text that a stanza can carry: characters of XML 1.0 (section 2.2) without CR, as an XML
/// parser would hand it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Takes the text of a field. CR LF and CR become LF (XML 1.0, section 2.11).
    ///
    /// # Errors
    /// 422 with the character and its offset in characters.
    pub fn new(field: &'static str, text: String) -> Result<Text, Problem> {
        if let Some((at, bad)) = text.char_indices().find(|&(_, c)| !is_xml(c)) {
            let offset = text[..at].chars().count();
            return Err(Problem::meaning(format!(
                "`{field}` contains U+{:04X} at character {offset}, which XML cannot carry; leave it out",
                bad as u32
            ))
            .field(field)
            .offset(offset));
        }
        if !text.contains('\r') {
            return Ok(Text(text));
        }
        Ok(Text(text.replace("\r\n", "\n").replace('\r', "\n")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_xml(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        c => c >= ' ',
    }
}

/// Text that becomes an attribute: not empty, and without what an XML parser would turn into
/// spaces (XML 1.0, section 3.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeText(String);

impl AttributeText {
    /// # Errors
    /// 422 with the character and its offset in characters.
    pub fn new(field: &'static str, text: String) -> Result<AttributeText, Problem> {
        if text.is_empty() {
            return Err(empty(field, "leave it out or give it a value"));
        }
        if let Some(offset) = text.chars().position(|c| matches!(c, '\t' | '\n' | '\r')) {
            return Err(Problem::meaning(format!(
                "`{field}` contains a tab or line end at character {offset}; it may hold neither"
            ))
            .field(field)
            .offset(offset));
        }
        Ok(AttributeText(Text::new(field, text)?.0))
    }

    /// An id that nobody can guess (RFC 6120, section 8.1.3): 96 random bits.
    fn random() -> AttributeText {
        use base64::Engine;
        let mut bytes = [0; 12];
        // Without the system's randomness an id is at least not one that was used before.
        if getrandom::fill(&mut bytes).is_err() {
            use std::sync::atomic::{AtomicU64, Ordering};
            static NEXT: AtomicU64 = AtomicU64::new(0);
            bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        }
        AttributeText(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Defines an enumeration of the words that a field may be.
macro_rules! words {
    ($(#[$docs:meta])* $name:ident, $field:literal, $($variant:ident = $word:literal),+) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const WORDS: &[&str] = &[$($word),+];

            /// # Errors
            /// 422, naming the words that would be right.
            pub fn new(word: &str) -> Result<$name, Problem> {
                match word {
                    $($word => Ok($name::$variant),)+
                    _ => Err(Problem::meaning(format!(
                        concat!("`", $field, "` is {}; one of {}"),
                        quote(word),
                        Self::WORDS.join(", ")
                    ))
                    .field($field)),
                }
            }

            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
    };
}

words! {
    /// The type of a message (RFC 6121, section 5.2.2).
    Kind, "type", Chat = "chat", Normal = "normal", Headline = "headline", Groupchat = "groupchat"
}

words! {
    /// A chat state (XEP-0085, section 4).
    State, "state",
    Active = "active", Composing = "composing", Paused = "paused", Inactive = "inactive", Gone = "gone"
}

/// A well-formed language tag (BCP 47, RFC 5646, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lang(String);

impl Lang {
    /// # Errors
    /// 422.
    pub fn new(tag: String) -> Result<Lang, Problem> {
        if is_language_tag(&tag) {
            return Ok(Lang(tag));
        }
        Err(Problem::meaning(format!(
            "`lang` is {}; a language tag of BCP 47 is needed, such as en or de-CH",
            quote(&tag)
        ))
        .field("lang"))
    }
}

/// Tags of RFC 5646, section 2.2.8, that are registered as a whole and do not follow the grammar.
const IRREGULAR: &[&str] = &[
    "en-gb-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-be-fr",
    "sgn-be-nl",
    "sgn-ch-de",
];

fn is_language_tag(tag: &str) -> bool {
    let tag = tag.to_ascii_lowercase();
    if IRREGULAR.contains(&tag.as_str()) {
        return true;
    }
    let mut subtags: Vec<&str> = tag.split('-').collect();
    if subtags
        .iter()
        .any(|s| s.is_empty() || s.len() > 8 || !s.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return false;
    }
    let alphabetic = |s: &str| s.bytes().all(|b| b.is_ascii_alphabetic());
    // privateuse = "x" 1*("-" (1*8alphanum)), alone or behind everything else.
    if let Some(at) = subtags.iter().position(|&s| s == "x") {
        if at + 1 == subtags.len() {
            return false;
        }
        subtags.truncate(at);
        if at == 0 {
            return true;
        }
    }
    let mut rest = subtags.into_iter().peekable();
    let language = rest.next().unwrap_or_default();
    if !alphabetic(language) || language.len() < 2 {
        return false;
    }
    // extlang, script and region, each at its place.
    for _ in 0..3 {
        if language.len() > 3 || rest.next_if(|s| s.len() == 3 && alphabetic(s)).is_none() {
            break;
        }
    }
    rest.next_if(|s| s.len() == 4 && alphabetic(s));
    rest.next_if(|s| {
        s.len() == 2 && alphabetic(s) || s.len() == 3 && s.bytes().all(|b| b.is_ascii_digit())
    });
    let mut variants = Vec::new();
    while let Some(variant) =
        rest.next_if(|s| s.len() >= 5 || s.len() == 4 && s.as_bytes()[0].is_ascii_digit())
    {
        if variants.contains(&variant) {
            return false;
        }
        variants.push(variant);
    }
    // extension = singleton 1*("-" (2*8alphanum)), each singleton once.
    let mut singletons = Vec::new();
    while let Some(singleton) = rest.next_if(|s| s.len() == 1) {
        if singletons.contains(&singleton) || rest.next_if(|s| s.len() >= 2).is_none() {
            return false;
        }
        singletons.push(singleton);
        while rest.next_if(|s| s.len() >= 2).is_some() {}
    }
    rest.next().is_none()
}

/// A URI with a scheme (RFC 3986, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    /// # Errors
    /// 422, with the offset of the first character that no URI has.
    pub fn new(field: &'static str, uri: String) -> Result<Uri, Problem> {
        let problem = |what: &str| {
            Problem::meaning(format!(
                "`{field}` is {}; {what}; an absolute URI is needed, such as https://example.com/",
                quote(&uri)
            ))
            .field(field)
        };
        if let Some(offset) = uri.chars().position(|c| !is_uri_character(c)) {
            return Err(problem("it has a character that a URI cannot have").offset(offset));
        }
        if crate::address::percent_decode(uri.as_bytes()).is_err() {
            return Err(problem("a % is not followed by two hex digits"));
        }
        let Some((scheme, rest)) = uri.split_once(':') else {
            return Err(problem("it has no scheme"));
        };
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        {
            return Err(problem("it has no scheme"));
        }
        if !is_hier_part(rest) {
            return Err(problem("it is not formed as RFC 3986 says"));
        }
        Ok(Uri(uri))
    }
}

/// unreserved, reserved and "%" (RFC 3986, sections 2.1 to 2.3).
fn is_uri_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

/// What follows the scheme: brackets only around an IP literal, one fragment, digits as port.
fn is_hier_part(rest: &str) -> bool {
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = before.split_once('?').unwrap_or((before, ""));
    if fragment.contains(['#', '[', ']']) || query.contains(['[', ']']) {
        return false;
    }
    let Some(authority_and_path) = path.strip_prefix("//") else {
        return !path.contains(['[', ']']);
    };
    let (authority, path) = match authority_and_path.find('/') {
        Some(at) => authority_and_path.split_at(at),
        None => (authority_and_path, ""),
    };
    let (userinfo, host_and_port) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(literal) => {
            let Some((literal, port)) = literal.split_once(']') else {
                return false;
            };
            if !is_ip_literal(literal) || !(port.is_empty() || port.starts_with(':')) {
                return false;
            }
            ("", port.trim_start_matches(':'))
        }
        None => host_and_port.split_once(':').unwrap_or((host_and_port, "")),
    };
    !path.contains(['[', ']'])
        && !userinfo.contains(['@', '[', ']'])
        && !host.contains(['[', ']'])
        && port.bytes().all(|b| b.is_ascii_digit())
}

/// IP-literal without its brackets (RFC 3986, section 3.2.2).
fn is_ip_literal(literal: &str) -> bool {
    if let Some(future) = literal.strip_prefix(['v', 'V']) {
        return future.split_once('.').is_some_and(|(version, address)| {
            !version.is_empty()
                && version.bytes().all(|b| b.is_ascii_hexdigit())
                && !address.is_empty()
                && !address.contains(['/', '@', '[', ']', '%'])
        });
    }
    literal.parse::<std::net::Ipv6Addr>().is_ok()
}

/// What a message says, whoever gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    kind: Option<Kind>,
    id: AttributeText,
    lang: Option<Lang>,
    body: Option<Text>,
    subject: Option<Text>,
    html: Option<Fragment>,
    thread: Option<Text>,
    oob_url: Option<Uri>,
    state: Option<State>,
    replace: Option<AttributeText>,
    /// Whether a delivery receipt is asked for (XEP-0184).
    receipt: bool,
    /// Bytes of the stanza without the addresses and the type, serialised.
    len: usize,
}

impl Content {
    /// Checks every field but `to`. `size_limit` is in bytes, serialised.
    ///
    /// # Errors
    /// 413 where the message is too large, 422 where a value is out of its range or there is
    /// nothing to send.
    pub fn of(draft: Draft, receipt: bool, size_limit: usize) -> Result<Content, Problem> {
        // What is dropped of a fragment may be larger than what is kept, but not by that much.
        let html = draft.html.as_ref().map_or(0, String::len);
        if draft.bytes() > size_limit || html / 4 > size_limit {
            return Err(too_large(size_limit));
        }
        if let Some(fault) = draft.fault {
            return Err(fault);
        }
        // An empty text says nothing.
        let text = |field, value: Option<String>| {
            let value = value.filter(|v| !v.is_empty());
            value.map(|v| Text::new(field, v)).transpose()
        };
        let attribute =
            |field, value: Option<String>| value.map(|v| AttributeText::new(field, v)).transpose();
        let html = draft.html.as_deref().map(xhtml::reduce).transpose()?;
        let mut content = Content {
            kind: draft.kind.as_deref().map(Kind::new).transpose()?,
            id: attribute("id", draft.id)?.unwrap_or_else(AttributeText::random),
            lang: draft.lang.map(Lang::new).transpose()?,
            body: text("body", draft.body)?,
            subject: text("subject", draft.subject)?,
            html: html.filter(|html| !html.is_empty()),
            thread: text("thread", draft.thread)?,
            oob_url: draft.oob_url.map(|v| Uri::new("oob_url", v)).transpose()?,
            state: draft.state.as_deref().map(State::new).transpose()?,
            replace: attribute("replace", draft.replace)?,
            receipt,
            len: 0,
        };
        // For those who cannot show XHTML (XEP-0071, section 8).
        if let (None, Some(html)) = (&content.body, &content.html) {
            content.body = Some(Text(html.to_text())).filter(|text| !text.0.is_empty());
        }
        if content.body.is_none()
            && content.subject.is_none()
            && content.html.is_none()
            && content.oob_url.is_none()
            && content.state.is_none()
        {
            return Err(Problem::meaning(
                "there is nothing to send; a body, subject, html, oob_url or state that is not empty is needed",
            )
            .field("body"));
        }
        let shortest = content.element("", "", Kind::Chat).serialised_len();
        content.len = shortest - Kind::Chat.as_str().len();
        if shortest > size_limit {
            return Err(too_large(size_limit));
        }
        Ok(content)
    }

    fn element<'a>(&'a self, from: &'a str, to: &'a str, kind: Kind) -> Element<'a> {
        let Content {
            kind: _,
            id,
            lang,
            body,
            subject,
            html,
            thread,
            oob_url,
            state,
            replace,
            receipt,
            len: _,
        } = self;
        let mut message = Element::new("message")
            .attribute("from", from)
            .attribute("to", to)
            .attribute("type", kind.as_str())
            .attribute("id", &id.0);
        if let Some(lang) = lang {
            message = message.attribute("xml:lang", &lang.0);
        }
        if let Some(subject) = subject {
            message = message.child(Element::new("subject").text(&subject.0));
        }
        if let Some(body) = body {
            message = message.child(Element::new("body").text(&body.0));
        }
        if let Some(thread) = thread {
            message = message.child(Element::new("thread").text(&thread.0));
        }
        if let Some(html) = html {
            let body = Element::new("body")
                .attribute("xmlns", "http://www.w3.org/1999/xhtml")
                .fragment(html.nodes());
            message = message.child(
                Element::new("html")
                    .attribute("xmlns", "http://jabber.org/protocol/xhtml-im")
                    .child(body),
            );
        }
        if let Some(url) = oob_url {
            message = message.child(
                Element::new("x")
                    .attribute("xmlns", "jabber:x:oob")
                    .child(Element::new("url").text(&url.0)),
            );
        }
        if let Some(state) = state {
            message = message.child(
                Element::new(state.as_str())
                    .attribute("xmlns", "http://jabber.org/protocol/chatstates"),
            );
        }
        if let Some(replace) = replace {
            message = message.child(
                Element::new("replace")
                    .attribute("id", &replace.0)
                    .attribute("xmlns", "urn:xmpp:message-correct:0"),
            );
        }
        // A room sends none (XEP-0184, section 5.3).
        if *receipt && kind != Kind::Groupchat {
            message =
                message.child(Element::new("request").attribute("xmlns", "urn:xmpp:receipts"));
        }
        message
    }
}

fn empty(field: &'static str, right: &str) -> Problem {
    Problem::meaning(format!("`{field}` is empty; {right}")).field(field)
}

fn too_large(limit: usize) -> Problem {
    Problem::too_large(format!(
        "the message is larger than {limit} bytes, the most that one may have (post_msg_size_limit)"
    ))
}

/// A message to one recipient, of which nothing needs to be checked any more.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    from: &'a str,
    to: &'a Address,
    kind: Kind,
    content: &'a Content,
}

impl<'a> Message<'a> {
    /// `from` is the sender's address, `size_limit` in bytes, serialised. Without a type of its
    /// own, a message to a room of this server is said in it, and any other is a chat message.
    ///
    /// # Errors
    /// 413, and 422 where a groupchat message is not addressed to a room (XEP-0045, section 7.4).
    pub fn new(
        from: &'a str,
        to: &'a Address,
        content: &'a Content,
        server: &impl Server,
        size_limit: usize,
    ) -> Result<Message<'a>, Problem> {
        let parts = to.parts();
        let like_a_room = parts.localpart.is_some() && parts.resource.is_none();
        let kind = match content.kind {
            Some(Kind::Groupchat) if !like_a_room => {
                return Err(Problem::meaning(format!(
                    "{} is not the address of a room; type groupchat needs room@service",
                    quote(to.as_str())
                ))
                .field("to"));
            }
            Some(kind) => kind,
            None if like_a_room && server.has_rooms(parts.domain) => Kind::Groupchat,
            None => Kind::Chat,
        };
        let addresses = escaped_len(from) + escaped_len(to.as_str());
        if content.len + kind.as_str().len() + addresses > size_limit {
            return Err(too_large(size_limit));
        }
        Ok(Message {
            from,
            to,
            kind,
            content,
        })
    }

    /// The same as it was found right before, with the type that was decided then.
    pub fn again(from: &'a str, to: &'a Address, kind: Kind, content: &'a Content) -> Message<'a> {
        Message {
            from,
            to,
            kind,
            content,
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stanza (RFC 6121, section 5.2).
    pub fn element(&self) -> Element<'a> {
        self.content.element(self.from, self.to.as_str(), self.kind)
    }
}

/// The recipients of one message, each once, in the order given.
///
/// # Errors
/// 422 where there is none, one is not an address, or there are more than `limit`.
pub fn recipients<'w>(
    written: impl IntoIterator<Item = &'w str>,
    server: &impl Server,
    limit: usize,
) -> Result<Vec<Address>, Problem> {
    let mut addresses: Vec<Address> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for written in written {
        let address = Address::of_recipient(written, server)?;
        if known.insert(address.clone()) {
            addresses.push(address);
        }
        if addresses.len() > limit {
            return Err(too_many_recipients(limit));
        }
    }
    if addresses.is_empty() {
        return Err(Problem::meaning(
            "there is no recipient; name one in the path, as in /msg/user@example.com, or in the field `to`",
        )
        .field("to"));
    }
    Ok(addresses)
}

/// 422: more recipients than one message may have.
pub fn too_many_recipients(limit: usize) -> Problem {
    Problem::meaning(format!(
        "`to` names more than {limit} recipients, the most that one message may have (post_msg_recipient_limit)"
    ))
    .field("to")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Place;

    const LIMIT: usize = 1000;

    struct Rooms;

    impl Server for Rooms {
        fn host(&self) -> &str {
            "example.com"
        }

        fn normal(&self, address: &str) -> Option<String> {
            Some(address.to_lowercase())
        }

        fn serves(&self, domain: &str) -> bool {
            domain == "rooms.example.com"
        }

        fn has_rooms(&self, domain: &str) -> bool {
            domain == "rooms.example.com"
        }
    }

    fn draft(fields: &[(&str, &str)]) -> Draft {
        let mut draft = Draft::default();
        for (name, value) in fields {
            *draft.field_mut(name).expect(name) = Some((*value).to_owned());
        }
        draft
    }

    fn content(fields: &[(&str, &str)]) -> Result<Content, Problem> {
        Content::of(draft(fields), false, LIMIT)
    }

    fn told(problem: &Problem) -> (u16, Option<&str>, Option<Place>) {
        (problem.status, problem.field.as_deref(), problem.place)
    }

    #[track_caller]
    fn refused(fields: &[(&str, &str)], field: &str) {
        let problem = content(fields).expect_err(field);
        assert_eq!(
            (problem.status, problem.field.as_deref()),
            (422, Some(field)),
            "{problem}"
        );
    }

    /// The stanza to an address, as XML.
    fn sent(to: &str, fields: &[(&str, &str)]) -> Result<String, Problem> {
        let (content, to) = (content(fields)?, Address::of_recipient(to, &Rooms)?);
        let message = Message::new("me@example.com", &to, &content, &Rooms, LIMIT)?;
        Ok(message.element().to_string())
    }

    #[test]
    fn text_is_what_xml_can_carry() {
        for text in [
            "",
            "a\tb\nc",
            "\u{7F}\u{85}\u{D7FF}\u{E000}\u{FFFD}\u{10000}\u{1FFFE}\u{10FFFF}",
        ] {
            assert_eq!(
                Text::new("body", text.to_owned()),
                Ok(Text(text.to_owned()))
            );
        }
        for (text, offset, name) in [
            ("ü🦀\0", 2, "U+0000"),
            ("\u{1B}", 0, "U+001B"),
            ("a\r\n\u{FFFE}\u{1}", 3, "U+FFFE"),
            ("\u{FFFF}", 0, "U+FFFF"),
        ] {
            let problem = Text::new("body", text.to_owned()).expect_err(name);
            assert_eq!(
                told(&problem),
                (422, Some("body"), Some(Place::Offset(offset))),
                "{problem}"
            );
            assert!(problem.detail.contains(name), "{problem}");
        }
    }

    #[test]
    fn line_ends_of_text_are_lf() {
        let text = Text::new("body", "a\r\nb\rc\n\rd\r\r\n".to_owned());
        assert_eq!(text.as_ref().map(Text::as_str), Ok("a\nb\nc\n\nd\n\n"));
    }

    #[test]
    fn text_of_an_attribute_has_neither_tab_nor_line_end() {
        assert!(AttributeText::new("id", " a'\"<&>ü ".to_owned()).is_ok());
        for text in ["ü\t", "ü\n", "ü\r\n", "ü\u{1}"] {
            let problem = AttributeText::new("id", text.to_owned()).expect_err(text);
            assert_eq!(
                told(&problem),
                (422, Some("id"), Some(Place::Offset(1))),
                "{problem}"
            );
        }
        assert!(AttributeText::new("id", String::new()).is_err());
    }

    #[test]
    fn a_generated_id_is_made_once() {
        let ids: std::collections::HashSet<_> =
            (0..1000).map(|_| AttributeText::random().0).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| {
            id.len() == 16
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        }));
    }

    #[test]
    fn words_are_known_as_they_are_written() {
        for word in Kind::WORDS {
            assert_eq!(Kind::new(word).map(Kind::as_str).as_ref(), Ok(word));
        }
        for word in State::WORDS {
            assert_eq!(State::new(word).map(State::as_str).as_ref(), Ok(word));
        }
        for word in ["", "Chat", "chat ", "error", "<b>\n"] {
            let problem = Kind::new(word).expect_err(word);
            assert_eq!(told(&problem), (422, Some("type"), None));
            assert!(
                problem
                    .detail
                    .ends_with("one of chat, normal, headline, groupchat"),
                "{problem}"
            );
            assert!(!problem.detail.contains(['<', '\n']), "{problem}");
        }
        assert!(State::new("typing").is_err_and(|problem| problem.detail.contains("composing")));
    }

    #[test]
    fn a_language_is_a_well_formed_tag() {
        // RFC 5646, appendix A, and the irregular ones.
        for tag in [
            "de",
            "zh-Hant",
            "zh-cmn-Hans-CN",
            "sr-Latn-RS",
            "sl-rozaj-biske",
            "de-CH-1901",
            "hy-Latn-IT-arevela",
            "es-419",
            "x-whatever",
            "qaa-Qaaa-QM-x-southern",
            "en-US-u-islamcal",
            "en-a-myext-b-another",
            "zh-yue-HK",
            "i-klingon",
            "sgn-BE-FR",
            "en-GB-oed",
            "art-lojban",
            "zh-min-nan",
            "abcd",
            "abcdefgh",
        ] {
            assert!(Lang::new(tag.to_owned()).is_ok(), "{tag}");
        }
        for tag in [
            "",
            "a",
            "a-DE",
            "de_CH",
            "de-",
            "-de",
            "de--CH",
            "abcdefghi",
            "de-419-DE",
            "ar-a-aaa-b-bbb-a-ccc",
            "en-a",
            "en-x",
            "x",
            "dé",
            "de CH",
            "12",
            "de-abcdefghi",
            "de-1901-1901",
            "en-aaa-bbb-ccc-ddd",
            "abcd-aaa",
            "i-unknown",
            "d1",
        ] {
            let problem = Lang::new(tag.to_owned()).expect_err(tag);
            assert_eq!(told(&problem), (422, Some("lang"), None), "{tag}");
        }
    }

    #[test]
    fn a_uri_has_a_scheme_and_the_form_of_rfc_3986() {
        for uri in [
            "https://example.com/a;b,c/(d)'!*~?e=f/?#g/?",
            "http://[2001:db8::1]:80/",
            "http://[v1.a:b]/",
            "http://user:pw@h:/",
            "file:///etc/x",
            "mailto:a@b",
            "urn:a:b",
            "a:",
            "x+y-z.1://",
            "http://a/%C3%bc",
            "http://a?b",
            "http://a#b",
            "tel:+1",
        ] {
            assert!(Uri::new("oob_url", uri.to_owned()).is_ok(), "{uri}");
        }
        for uri in [
            "",
            "a",
            "/a",
            "//a/b",
            "?a",
            "#a",
            ":a",
            "1a:b",
            "é:b",
            "http://[::1",
            "http://::1]/",
            "http://[1]/",
            "http://[::1]x/",
            "http://a:b/",
            "http://a@b@c/",
            "http://a/[b]",
            "http://a/?[b]",
            "http://a/#b#c",
            "http://a/%",
            "http://a/%zz",
            "http://a b/",
            "http://a/\\",
            "http://a/\"",
            "http://a/{}",
            "http://a/\n",
            "http://ü/",
        ] {
            let problem = Uri::new("oob_url", uri.to_owned()).expect_err(uri);
            assert_eq!(
                (problem.status, problem.field.as_deref()),
                (422, Some("oob_url")),
                "{uri}"
            );
        }
        let problem = Uri::new("oob_url", "http://ü/".to_owned()).expect_err("an umlaut");
        assert_eq!(problem.place, Some(Place::Offset(7)));
    }

    #[test]
    fn a_message_must_carry_something() {
        for fields in [
            &[("body", "x")][..],
            &[("subject", "x")],
            &[("html", "<p>x</p>")],
            &[("html", "<img src='https://a/'/>")],
            &[("oob_url", "a:b")],
            &[("state", "gone")],
            &[("body", ""), ("state", "active")],
        ] {
            assert!(content(fields).is_ok(), "{fields:?}");
        }
        for fields in [
            &[][..],
            &[("body", "")],
            &[("subject", "")],
            &[("html", "")],
            &[("html", "<p> </p>")],
            &[
                ("thread", "x"),
                ("id", "x"),
                ("lang", "de"),
                ("type", "chat"),
            ],
            &[("replace", "x")],
        ] {
            assert!(
                content(fields).is_err_and(|problem| problem.status == 422),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        for (field, value) in [
            ("type", "x"),
            ("subject", "\0"),
            ("html", "<p>"),
            ("thread", "\u{1B}"),
            ("id", "a\nb"),
            ("lang", "_"),
            ("oob_url", "x"),
            ("state", "x"),
            ("replace", "\t"),
        ] {
            refused(&[("body", "x"), (field, value)], field);
        }
        refused(&[("body", "\u{FFFF}")], "body");
    }

    #[test]
    fn every_field_has_its_place_in_the_stanza() {
        let fields = [
            ("type", "headline"),
            ("id", "i'"),
            ("lang", "de"),
            ("subject", "s"),
            ("body", "b<"),
            ("thread", "t"),
            ("html", "<em>h</em>"),
            ("oob_url", "a:b"),
            ("state", "gone"),
            ("replace", "r"),
        ];
        assert_eq!(
            sent("you@example.com", &fields).as_deref(),
            Ok(
                "<message from='me@example.com' to='you@example.com' type='headline' id='i&apos;' xml:lang='de'>\
                <subject>s</subject><body>b&lt;</body><thread>t</thread>\
                <html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><em>h</em></body></html>\
                <x xmlns='jabber:x:oob'><url>a:b</url></x><gone xmlns='http://jabber.org/protocol/chatstates'/>\
                <replace id='r' xmlns='urn:xmpp:message-correct:0'/></message>"
            )
        );
    }

    #[test]
    fn a_body_is_made_of_html_where_there_is_none() {
        let xml = sent("you@example.com", &[("html", "<p>a <b>c</b></p>")]);
        assert!(
            xml.as_ref()
                .is_ok_and(|xml| xml.contains("<body>a c</body>")),
            "{xml:?}"
        );
        let xml = sent("you@example.com", &[("html", "<p>a</p>"), ("body", "b")]);
        assert!(
            xml.as_ref()
                .is_ok_and(|xml| xml.contains("<body>b</body>") && !xml.contains("<body>a")),
            "{xml:?}"
        );
    }

    #[test]
    fn a_message_to_a_room_is_said_in_it_unless_it_has_a_type() {
        let kind = |to, fields: &[_]| {
            let xml = sent(to, &[&[("body", "x")][..], fields].concat())
                .map_err(|problem| problem.status)?;
            Ok(xml
                .split("type='")
                .nth(1)
                .and_then(|rest| rest.split('\'').next())
                .map(str::to_owned))
        };
        let is = |kind: &str| Ok::<_, u16>(Some(kind.to_owned()));
        assert_eq!(kind("room@rooms.example.com", &[]), is("groupchat"));
        assert_eq!(
            kind("room@rooms.example.com", &[("type", "normal")]),
            is("normal")
        );
        assert_eq!(kind("room@rooms.example.com/nick", &[]), is("chat"));
        assert_eq!(kind("rooms.example.com", &[]), is("chat"));
        assert_eq!(kind("room@elsewhere.example", &[]), is("chat"));
        assert_eq!(
            kind("room@elsewhere.example", &[("type", "groupchat")]),
            is("groupchat")
        );
        assert_eq!(
            kind("room@elsewhere.example/nick", &[("type", "groupchat")]),
            Err(422)
        );
        assert_eq!(
            kind("rooms.example.com", &[("type", "groupchat")]),
            Err(422)
        );
    }

    #[test]
    fn the_limit_is_of_bytes_as_serialised() {
        for kind in [None, Some("chat"), Some("headline")] {
            let size = |body: &str| {
                let mut fields = vec![("id", "i"), ("body", body)];
                fields.extend(kind.map(|kind| ("type", kind)));
                sent("you@example.com", &fields)
                    .map(|xml| xml.len())
                    .map_err(|problem| problem.status)
            };
            let fixed = size("x").expect("a message") - 1;
            assert_eq!(size(&"x".repeat(LIMIT - fixed)), Ok(LIMIT), "{kind:?}");
            assert_eq!(size(&"x".repeat(LIMIT - fixed + 1)), Err(413), "{kind:?}");
            let quotes = (LIMIT - fixed) / 6;
            assert!(size(&"'".repeat(quotes)).is_ok());
            assert_eq!(size(&"'".repeat(quotes + 1)), Err(413));
            assert!(
                size(&"\r\n".repeat(LIMIT - fixed)).is_ok(),
                "CR LF is one byte"
            );
        }
    }

    #[test]
    fn recipients_are_each_named_once_in_the_order_given() {
        let named = |written: &[&str]| {
            recipients(written.iter().copied(), &Rooms, 2)
                .map(|addresses| {
                    addresses
                        .iter()
                        .map(|a| a.as_str().to_owned())
                        .collect::<Vec<_>>()
                })
                .map_err(|problem| (problem.status, problem.field))
        };
        let wrong = Err((422, Some("to".into())));
        let both = vec!["b@c".to_owned(), "a@example.com".to_owned()];
        assert_eq!(named(&["B@c", "a", "b@C", "A@example.com"]), Ok(both));
        assert_eq!(named(&["a", "b", "c"]), wrong);
        assert_eq!(named(&["a", ""]), wrong);
        assert_eq!(named(&[]), wrong);
    }
}
