use super::*;
use crate::message::content::Content;
use crate::message::field::Field;
use crate::message::kind::Kind;
use crate::message::limits::EXAMPLE as LIMITS;

/// The length of the stanza with addresses of usual length.
fn sent(draft: Draft) -> usize {
    let content = Content::of(fit(draft, &LIMITS), false, &LIMITS).expect("a message");
    let element = content.element("sender@example.com", "recipient@example.com", Kind::Chat);
    element.serialised_len()
}

#[test]
fn a_message_that_is_too_long_is_cut_to_fit() {
    for text in ["x", "&", "ü", "🦀", "'\n"] {
        let text = text.repeat(5000);
        for fields in [
            vec![("body", &text)],
            vec![("body", &text), ("subject", &text), ("thread", &text)],
            vec![("body", &text), ("html", &text), ("lang", &text)],
        ] {
            let mut draft = Draft::default();
            for (name, value) in fields {
                let value = if name == "lang" { "en" } else { value };
                draft.values[Field::named(name).unwrap()] = Some(value.to_owned());
            }
            let length = sent(draft);
            assert!(
                length <= LIMITS.size && length > LIMITS.size / 2,
                "{length}"
            );
        }
    }
}

#[test]
fn a_message_that_fits_is_unchanged() {
    let draft = Draft::of(&[
        ("body", "a & b"),
        ("html", "<p>a &amp; b</p>"),
        ("subject", "s"),
    ]);
    assert_eq!(fit(draft.clone(), &LIMITS), draft);
}

#[test]
fn a_cut_is_at_a_character() {
    let cut_to = |text: &str, room| {
        let mut text = text.to_owned();
        cut(&mut text, room);
        text
    };
    assert_eq!(cut_to("abcdef", 6), "abcdef");
    assert_eq!(cut_to("abcdefg", 6), "abc…");
    assert_eq!(cut_to("üüüü", 7), "üü…");
    assert_eq!(cut_to("a&bcdef", 8), "a…");
    assert_eq!(cut_to("abc", 0), "…");
}

#[test]
fn large_and_dense_payloads_are_slow() {
    let webhook = || {
        let templates = Arc::new(Templates::new(None));
        let (headers, query) = (Headers::default(), Query::default());
        let occasion = Occasion::default();
        Webhook::new(templates, "slack".to_owned(), headers, query, occasion)
    };
    assert!(!webhook().is_slow(&[b'a'; 6 * 1024]));
    assert!(webhook().is_slow(&[b'a'; 6 * 1024 + 1]));
    assert!(!webhook().is_slow(&[b','; 300]));
    assert!(webhook().is_slow(&[b','; 301]));
    assert!(!webhook().is_slow(&[b'{'; 40]));
    assert!(webhook().is_slow(&[b'['; 41]));
}

#[test]
fn an_id_or_thread_that_is_too_long_is_replaced_by_its_hash() {
    for field in ["id", "replace", "thread"] {
        let read_thread = |text: &str| {
            let draft = fit(Draft::of(&[("body", "x"), (field, text)]), &LIMITS);
            draft.values[Field::named(field).expect(field)]
                .clone()
                .expect(field)
        };
        let long = "x".repeat(LONGEST_ID + 1);
        assert_eq!(read_thread(&long).len(), 64, "{field}");
        assert_eq!(read_thread(&long), read_thread(&long), "{field}");
        assert_ne!(
            read_thread(&long),
            read_thread(&(long.clone() + "x")),
            "{field}"
        );
        assert_eq!(read_thread(&long[1..]), long[1..], "{field}");
    }
}
