use super::*;
use crate::message::draft::Draft;
use crate::message::limits::EXAMPLE as LIMITS;

const LIMIT: usize = LIMITS.size;

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

fn content(fields: &[(&str, &str)]) -> Result<Content, Problem> {
    Content::of(Draft::of(fields), false, &LIMITS)
}

#[track_caller]
fn assert_refused(fields: &[(&str, &str)], field: &str) {
    let problem = content(fields).expect_err(field);
    assert_eq!(
        (problem.status(), problem.field.as_deref()),
        (422, Some(field)),
        "{problem}"
    );
}

/// The stanza to an address, as XML.
fn stanza_to(to: &str, fields: &[(&str, &str)]) -> Result<String, Problem> {
    let (content, to) = (content(fields)?, Recipient::of(to, &Rooms)?);
    let message = Message::new("me@example.com", &to, &content, &LIMITS)?;
    Ok(message.element().to_string())
}

#[test]
fn a_message_with_a_file_has_room_for_its_link() {
    let limits = Limits {
        size: 10_000,
        ..LIMITS
    };
    let len = |files| {
        let mut draft = Draft::of(&[("body", "x")]);
        draft.files = files;
        let content = Content::of(draft, false, &limits).map_err(|problem| problem.status());
        content.map(|content| content.serialised_len())
    };
    assert_eq!(len(1), len(0).map(|len| len + 4096));
}

#[test]
fn words_are_known_only_in_their_own_spelling() {
    for field in field::FIELDS {
        let field::FieldType::Word(words) = field.field_type else {
            continue;
        };
        for word in words {
            assert!(
                content(&[("body", "x"), (field.name, word)]).is_ok(),
                "{word}"
            );
        }
        for word in ["", "Chat", "chat ", "error", "typing", "<b>\n"] {
            let problem = content(&[("body", "x"), (field.name, word)]).expect_err(word);
            assert_eq!(problem.facts(), (422, Some(field.name), None));
            let right = format!("one of {}", words.join(", "));
            assert!(problem.detail.ends_with(&right), "{problem}");
            assert!(!problem.detail.contains('\n'), "{problem}");
        }
    }
    for word in Kind::WORDS {
        assert_eq!(Kind::named(word).map(Kind::as_str), Some(word));
    }
}

#[test]
fn a_message_without_content_is_refused() {
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
            content(fields).is_err_and(|problem| problem.status() == 422),
            "{fields:?}"
        );
    }
}

#[test]
fn the_wrong_field_is_named() {
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
        assert_refused(&[("body", "x"), (field, value)], field);
    }
    assert_refused(&[("body", "\u{FFFF}")], "body");
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
        stanza_to("you@example.com", &fields).as_deref(),
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
fn the_text_of_html_becomes_the_body_if_there_is_none() {
    let xml = stanza_to("you@example.com", &[("html", "<p>a <b>c</b></p>")]);
    assert!(
        xml.as_ref()
            .is_ok_and(|xml| xml.contains("<body>a c</body>")),
        "{xml:?}"
    );
    let xml = stanza_to("you@example.com", &[("html", "<p>a</p>"), ("body", "b")]);
    assert!(
        xml.as_ref()
            .is_ok_and(|xml| xml.contains("<body>b</body>") && !xml.contains("<body>a")),
        "{xml:?}"
    );
}

#[test]
fn a_message_to_a_room_is_groupchat_unless_it_has_a_type() {
    let kind = |to, fields: &[_]| {
        let xml = stanza_to(to, &[&[("body", "x")][..], fields].concat())
            .map_err(|problem| problem.status())?;
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
            stanza_to("you@example.com", &fields)
                .map(|xml| xml.len())
                .map_err(|problem| problem.status())
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
fn each_recipient_is_kept_once_in_the_order_given() {
    let named = |written: &[&str]| {
        let limits = Limits {
            recipients: 2,
            ..LIMITS
        };
        let mut recipients = Recipients::default();
        let result = written
            .iter()
            .try_for_each(|written| recipients.add(written, &Rooms, &limits));
        result
            .and_then(|()| recipients.all())
            .map(|addresses| {
                addresses
                    .iter()
                    .map(|to| to.address().as_str().to_owned())
                    .collect::<Vec<_>>()
            })
            .map_err(|problem| (problem.status(), problem.field))
    };
    let wrong = Err((422, Some("to".into())));
    let recipients = vec!["b@c".to_owned(), "a@example.com".to_owned()];
    assert_eq!(named(&["B@c", "a", "b@C", "A@example.com"]), Ok(recipients));
    assert_eq!(named(&["a", "b", "c"]), wrong);
    assert_eq!(named(&["a", ""]), wrong);
    assert_eq!(named(&[]), wrong);
}

#[test]
fn a_token_may_send_to_its_recipients_in_every_spelling_and_to_nobody_else() {
    let recipients = ["user@example.com", "other.example"].map(str::to_owned);
    let allowed = allowed::Allowed::new("id".to_owned(), recipients);
    let check = |written: &str| {
        let to = Address::of_recipient(written, &Rooms).expect(written);
        allowed.check(&to).map_err(|problem| problem.status())
    };
    for written in [
        "user",
        "USER@Example.com",
        "user@example.com/phone",
        "xmpp:us%65r@example.com/phone",
        "anybody@other.example",
        "xmpp:other.example",
    ] {
        assert_eq!(check(written), Ok(()), "{written}");
    }
    for written in [
        "other",
        "user@example.com.other.example",
        "user@sub.other.example",
        "user@other",
        "xmpp:user",
        "xmpp:example.com",
        "a@example.com/user@example.com",
        "xmpp:a@example.com/other.example",
    ] {
        assert_eq!(check(written), Err(403), "{written}");
    }
}
