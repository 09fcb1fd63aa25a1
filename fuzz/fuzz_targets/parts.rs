//! The parts of a request besides its body, and parts of bodies. Each accepted part keeps its meaning when it is
//! written again. The cost is checked too.
//!
//! The first letter of the input chooses the part: see [`PARTS`].

#![no_main]

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::{Corpus, fuzz_target};
use mod_post_msg_fuzz::parts;
use mod_post_msg_fuzz::pieces::repeat;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use post_msg::credentials::authorization::{Credentials, RequestCredentials};
use post_msg::credentials::signature::{Claims, Signature};
use post_msg::credentials::token::Token;
use post_msg::http::answer::{AnswerContext, refusal};
use post_msg::http::content_coding;
use post_msg::http::memory::Share;
use post_msg::http::parameters::parameters;
use post_msg::http::problem::Problem;
use post_msg::http::query::Query;
use post_msg::http::{accept, path, prefer};
use post_msg::message::address::{Address, Parts, Server};
use post_msg::message::allowed::Allowed;
use post_msg::message::element::Element;
use post_msg::message::field::Field;
use post_msg::message::limits::Limits;
use post_msg::message::xhtml;
use post_msg::payload::file::{Content, File, name_in};
use post_msg::payload::query_fields::QueryFields;
use post_msg::payload::reader::{Reader, Uploads};
use zeroize::Zeroizing;

const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 100,
    body: 1 << 20,
};

const PARTS: &[(u8, fn(&[u8]))] = &[
    (b'a', authorization),
    (b'c', content_of_file),
    (b'f', file_name),
    (b'h', html),
    (b'n', negotiation),
    (b'p', path_of_request),
    (b'q', query),
    (b'r', recipient),
    (b's', signature),
    (b'v', values_of_parameters),
    (b'z', compressed_file),
];

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((first, rest)) = input.split_first() else {
        return Corpus::Reject;
    };
    let Some((_, part)) = PARTS.iter().find(|(letter, _)| letter == first) else {
        return Corpus::Reject;
    };
    part(rest);
    cost(&String::from_utf8_lossy(rest));
    Corpus::Keep
});

/// The cost of each header with this text repeated up to 10 KB, the longest head that Prosody accepts.
fn cost(piece: &str) {
    if piece.is_empty() {
        return;
    }
    let text = repeat(piece, 10_000);
    for (name, cost) in parts::costs(&text) {
        let faults = cost.faults(text.len());
        assert!(faults.is_empty(), "{name}: {faults:?}");
    }
}

fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

/// The header Authorization, and the query after a line end.
fn authorization(input: &[u8]) {
    let mut lines = input.splitn(2, |&byte| byte == b'\n');
    let header = lines.next().filter(|header| !header.is_empty());
    let tokens = Query::parse(lines.next().unwrap_or_default()).tokens;
    let presented = RequestCredentials::of(header, &tokens);
    assert_eq!(presented == RequestCredentials::Nothing, header.is_none() && tokens.is_empty());
    let shown = format!("{presented:?}");
    let RequestCredentials::One(credentials) = &presented else {
        return;
    };
    let (scheme, value) = match credentials {
        Credentials::Basic { address, password } => {
            assert!(Token::parse(password.expose()).is_none());
            let pair = format!("{address}:{}", password.expose());
            assert!(!address.contains(':') && !pair.contains('\0'));
            ("basic", STANDARD.encode(pair))
        }
        Credentials::Bearer { token } => {
            assert!(tokens.is_empty() && Token::parse(token.expose()).is_none());
            ("BEARER", token.expose().to_owned())
        }
        Credentials::Sending { address, token } => {
            let text = token.secret().expose();
            assert!(!shown.contains(text), "{shown}");
            assert_eq!(Token::parse(text).as_ref(), Some(token));
            assert!(text[5..].starts_with(token.id()) && token.id().len() == 16);
            assert!(token.hash().len() == 64 && !token.hash().contains(text));
            match address {
                Some(address) => ("Basic", STANDARD.encode(format!("{address}:{text}"))),
                None => ("Bearer", text.to_owned()),
            }
        }
    };
    let anew = format!("{scheme} {value}");
    assert_eq!(RequestCredentials::of(Some(anew.as_bytes()), &[]), presented);
    // A further wrong token is not ignored.
    let wrong = [Zeroizing::new(String::from("x"))];
    assert_eq!(RequestCredentials::of(Some(anew.as_bytes()), &wrong), RequestCredentials::Several);
}

fn query(input: &[u8]) {
    let query = Query::parse(input);
    let mut written = form_urlencoded::Serializer::new(String::new());
    written.extend_pairs(query.tokens.iter().map(|token| ("token", token.as_str())));
    written.extend_pairs(query.format.iter().map(|name| ("as", name)));
    written.extend_pairs(query.to.iter().map(|to| ("to", to)));
    written.extend_pairs(&query.unknown);
    let anew = Query::parse(written.finish().as_bytes());
    assert!(anew.tokens == query.tokens && anew.format == query.format);
    assert!(anew.to == query.to && anew.unknown == query.unknown);
    // The meaning has no credentials, and is read as it was written.
    let meaning = query.meaning(Field::is_name);
    let said = Query::parse(meaning.as_bytes());
    assert!(said.tokens.is_empty() && said.to == query.to && said.format == query.format);
    assert_eq!(said.meaning(Field::is_name), meaning);
}

/// A server with the normal form of the `jid` crate.
struct Known;

impl Server for Known {
    fn host(&self) -> &str {
        "example.com"
    }

    fn normal(&self, address: &str) -> Option<String> {
        jid::Jid::new(address).ok().map(|jid| jid.to_string())
    }

    fn serves(&self, domain: &str) -> bool {
        domain.ends_with("example.com")
    }

    fn has_rooms(&self, domain: &str) -> bool {
        domain.starts_with("rooms.")
    }
}

/// A recipient, as a client writes it.
fn recipient(input: &[u8]) {
    let Ok(written) = std::str::from_utf8(input) else {
        return;
    };
    if let Some(sender) = Address::of_sender(written, &Known) {
        assert!(sender.parts().localpart.is_some_and(|part| !part.is_empty()));
        assert_eq!(Address::of_sender(sender.as_str(), &Known), Some(sender));
    }
    let address = match Address::of_recipient(written, &Known) {
        Ok(address) => address,
        Err(problem) => return assert_described(&problem, 422),
    };
    assert!(address.as_str().len() <= 3071 && !address.as_str().contains(char::is_control));
    assert_eq!(Known.normal(address.as_str()).as_deref(), Some(address.as_str()));
    let Parts { localpart, domain, resource } = address.parts();
    assert!(!domain.is_empty() && localpart != Some("") && resource != Some(""));
    // It is the same in every notation: unchanged, as a URI, and in the path.
    let part = |part: Option<&str>, before: &str, after: &str| {
        part.map_or(String::new(), |part| [before, &encode(part.as_bytes()), after].concat())
    };
    let uri = format!("xmpp:{}{}{}", part(localpart, "", "@"), encode(domain.as_bytes()), part(resource, "/", ""));
    let again = |written: &str| Address::of_recipient(written, &Known);
    assert_eq!(again(&uri).as_ref(), Ok(&address), "{uri}");
    if localpart.is_some() {
        assert_eq!(again(address.as_str()).as_ref(), Ok(&address));
    }
    let behind = path::recipient(format!("/msg/{}", encode(uri.as_bytes())).as_bytes(), "/msg");
    assert_eq!(behind, Ok(Some(uri)));
    // A token that may send only there.
    for allowed in [address.bare(), domain] {
        let allowed = Allowed::new(String::new(), [allowed.to_owned()]);
        assert_eq!(allowed.check(&address), Ok(()));
        let other = again("xmpp:somebody@elsewhere.example").expect("an address");
        assert!(other == address || domain == "elsewhere.example" || allowed.check(&other).is_err());
    }
}

fn assert_described(problem: &Problem, status: u16) {
    assert_eq!(problem.status(), status, "{problem:?}");
    let asked = AnswerContext { accept: Some(b"text/plain"), content_type: None, id: None };
    let answer = refusal(problem, asked);
    let line = answer.body.strip_suffix('\n').expect("a line");
    assert!(!line.is_empty() && !line.contains(|c: char| c.is_control() || c == '<'), "{line:?}");
}

/// The part of a path after the base.
fn path_of_request(input: &[u8]) {
    match path::recipient(&[b"/msg", input].concat(), "/msg") {
        Ok(None) => {}
        Ok(Some(recipient)) => {
            assert!(!recipient.is_empty() && !recipient.starts_with('/'));
            let anew = format!("/msg/{}", encode(recipient.as_bytes()));
            assert_eq!(path::recipient(anew.as_bytes(), "/msg"), Ok(Some(recipient)));
        }
        Err(problem) => assert_described(&problem, if problem.field.is_some() { 422 } else { 400 }),
    }
}

/// The value of a header with parameters. The parameters are the same if each value is in quotes.
fn values_of_parameters(input: &[u8]) {
    let (first, rest) = parameters(input);
    assert!(!first.contains(&b';') && first.trim_ascii_start().len() <= first.len());
    let read: Vec<_> = rest.map_while(Result::ok).collect();
    let mut written = first.to_vec();
    for (name, value) in &read {
        written.extend([b"; ", *name, b"=\""].concat());
        for &byte in value.iter() {
            written.extend([b'\\', byte]);
        }
        written.push(b'"');
    }
    let (again, rest) = parameters(&written);
    assert_eq!((again, rest.collect::<Result<Vec<_>, _>>()), (first, Ok(read)));
}

/// The header Content-Disposition.
fn file_name(input: &[u8]) {
    let name = name_in(input);
    let file = File::new(name.as_deref(), Some(input), Content::InBody(0..1));
    assert!((1..=200).contains(&file.name.len()), "{}", file.name);
    assert!(!file.name.contains(|c: char| c == '/' || c == '\\' || c.is_control()), "{:?}", file.name);
    assert!(!file.name.trim_matches('.').is_empty());
    if let Some(name) = name {
        let anew = format!("attachment; filename=\"x\"; filename*=UTF-8''{}", encode(name.as_bytes()));
        assert_eq!(name_in(anew.as_bytes()), Some(name));
    }
}

/// The header Accept, and Prefer after a line end.
fn negotiation(input: &[u8]) {
    let mut lines = input.splitn(2, |&byte| byte == b'\n');
    let (accepted, preferred) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let is_json = accept::wants_problem_json(Some(accepted), None);
    assert!(is_json || !accept::wants_json(accepted));
    let asked = AnswerContext { accept: Some(accepted), content_type: None, id: None };
    let answer = refusal(&Problem::meaning("wrong"), asked);
    assert_eq!(answer.body.starts_with('{'), is_json);
    if accepted.is_ascii() {
        assert!(accept::wants_json(&[b"application/json, ", accepted].concat()));
        assert!(accept::wants_html(&[b"text/html, ", accepted].concat()));
    }
    if let Some(seconds) = prefer::wait(preferred) {
        let anew = format!("respond-async, wait={seconds}, wait=0");
        assert_eq!(prefer::wait(anew.as_bytes()), Some(seconds));
    }
}

/// A secret, a code, and an unsigned body: the code must not be right.
fn signature(input: &[u8]) {
    let mut lines = input.splitn(3, |&byte| byte == b'\n');
    let (secret, code) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let body = lines.next().unwrap_or_default();
    for claims in [
        Claims { hub: Some(code), ..Claims::default() },
        Claims { gitea: Some(code), ..Claims::default() },
        Claims { gogs: Some(code), gitlab: Some(secret), ..Claims::default() },
        Claims::default(),
    ] {
        if let Some(mut signature) = Signature::new(secret, claims) {
            body.chunks(7).for_each(|piece| signature.update(piece));
            assert!(!signature.is_right());
        }
    }
    let told = Signature::new(secret, Claims { gitlab: Some(code), ..Claims::default() });
    assert_eq!(told.is_some_and(|told| told.is_right()), code == secret);
}

/// XHTML: the reduced fragment is well-formed, and does not change when it is reduced again.
fn html(input: &[u8]) {
    let Ok(source) = std::str::from_utf8(input) else {
        return;
    };
    let fragment = match xhtml::reduce(source) {
        Ok(fragment) => fragment,
        Err(problem) if problem.status() == 413 => return,
        Err(problem) => return assert_described(&problem, 422),
    };
    let element = Element::new("body").attribute("xmlns", "http://www.w3.org/1999/xhtml").fragment(fragment.nodes());
    let xml = element.to_string();
    assert_eq!(xml.len(), element.serialised_len());
    roxmltree::Document::parse(&xml).expect(&xml);
    // The fragment has no control characters.
    assert!(fragment.to_text().chars().all(|c| c >= ' ' || c == '\n' || c == '\t'), "{xml:?}");
    let again = xhtml::reduce(&xml).expect(&xml);
    assert_eq!(again, fragment, "{xml}");
    assert_eq!(again.to_text(), fragment.to_text());
}

/// Any bytes as a file, alone and in a form: the bytes are unchanged.
fn content_of_file(input: &[u8]) {
    holds_file("image/png", None, input, input);
    if !input.windows(7).any(|bytes| bytes == b"--LIMIT") {
        let head = b"--LIMIT\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n";
        let form = [head, input, b"\r\n--LIMIT--"].concat();
        holds_file("multipart/form-data; boundary=LIMIT", None, &form, input);
    }
}

/// The same, compressed.
fn compressed_file(input: &[u8]) {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = packed.write_all(input).and_then(|()| packed.finish()).expect("compressed");
    holds_file("image/png", Some(b"gzip"), &packed, input);
    let codings = content_coding::parse(Some(b"gzip, identity")).expect("known");
    if let Some(less) = input.len().checked_sub(1) {
        let short = content_coding::undo(&codings, &packed, less, &Share::unshared(packed.len()));
        assert_eq!(short.map_err(|problem| problem.status()).err(), Some(413));
    }
}

fn holds_file(media_type: &str, coding: Option<&[u8]>, body: &[u8], expected: &[u8]) {
    let uploads = Uploads { are_possible: Some(true), name: None };
    let reader = Reader::new(Some(media_type.as_bytes()), coding, QueryFields::default(), uploads).expect("a reader");
    match reader.read(body, false, &LIMITS) {
        Ok(payload) => {
            let files = payload.extras.files;
            assert_eq!(files.len(), 1);
            let content = match &files[0].content {
                Content::InBody(range) => &body[range.clone()],
                Content::Unpacked(content) => content,
            };
            assert_eq!(content, expected);
        }
        Err(problem) => {
            assert_described(&problem, 422);
            assert!(expected.is_empty());
        }
    }
}
