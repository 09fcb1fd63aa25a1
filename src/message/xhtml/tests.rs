use super::survey::*;
use super::*;
use crate::http::problem::Place;
use crate::message::text::unify_line_ends;
use proptest::prelude::*;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&apos;")
}

fn serialise(nodes: &[Node]) -> String {
    let mut xml = String::new();
    for node in nodes {
        match node {
            Node::Text(text) => xml += &escape(text),
            Node::Element {
                name,
                attributes,
                children,
            } => {
                let attributes: String = attributes
                    .iter()
                    .map(|(name, value)| format!(" {name}='{}'", escape(value)))
                    .collect();
                let inside = serialise(children);
                xml += &match inside.is_empty() {
                    true => format!("<{name}{attributes}/>"),
                    false => format!("<{name}{attributes}>{inside}</{name}>"),
                };
            }
        }
    }
    xml
}

#[track_caller]
fn reduces(source: &str, expected: &str) {
    let fragment = reduce(source).unwrap_or_else(|problem| panic!("{source:?}: {problem:?}"));
    assert_eq!(serialise(fragment.nodes()), expected, "from {source:?}");
}

#[track_caller]
fn reads(source: &str, expected: &str) {
    assert_eq!(
        reduce(source).unwrap().to_text(),
        expected,
        "from {source:?}"
    );
}

#[track_caller]
fn refused(source: &str, line: usize, column: usize, part: &str) {
    let problem = reduce(source).expect_err(source);
    assert_eq!(
        (problem.status(), problem.field.as_deref()),
        (422, Some("html")),
        "{source:?}"
    );
    assert_eq!(
        problem.place,
        Some(Place::Line { line, column }),
        "{source:?}: {problem}"
    );
    assert!(problem.detail.contains(part), "{source:?}: {problem}");
    assert!(!problem.detail.contains('\n'), "{source:?}: {problem}");
}

#[test]
fn the_elements_of_the_profile_stay() {
    for same in [
        "<p>a <strong>b</strong> <em>c</em> <span>d</span> <cite>e</cite></p>",
        "<blockquote>q</blockquote><ul><li>x</li></ul><ol><li>y</li></ol>",
        "a<br/>b",
        "just text &amp; more",
        "<h1>h</h1><pre>a\n b</pre><dl><dt>t</dt><dd>d</dd></dl>",
        "<p>ü 🦀 مرحبا</p>",
        "",
    ] {
        reduces(same, same);
    }
}

#[test]
fn unknown_elements_are_replaced_by_their_content() {
    reduces("<p>x <blink>y</blink> z</p>", "<p>x y z</p>");
    reduces(
        "<foo><bar><p>x <em>y</em></p></bar></foo>",
        "<p>x <em>y</em></p>",
    );
    reduces("<form action='x'>a<input name='y'/>b</form>", "ab");
}

#[test]
fn elements_without_readable_content_are_dropped() {
    reduces(
        "<p>b</p><script>alert(1)</script><SCRIPT>2</SCRIPT><p>a</p>",
        "<p>b</p><p>a</p>",
    );
    reduces("<style>p{}</style><p>x</p>", "<p>x</p>");
    reduces(
        "<p>x</p><iframe src='https://e'>i</iframe><object data='x'>o</object><embed src='x'/>",
        "<p>x</p>",
    );
    reduces(
        "a<select><option>o</option></select><textarea>t</textarea><button>b</button>",
        "a",
    );
    reduces(
        "<html><head><title>t</title></head><body><p>x</p></body></html>",
        "<p>x</p>",
    );
}

#[test]
fn elements_of_other_namespaces_are_replaced_by_their_content() {
    reduces(
        "<p>x</p><svg xmlns='http://www.w3.org/2000/svg'><script>1</script><text>t</text></svg>",
        "<p>x</p>",
    );
    reduces(
        "<p>x</p><message xmlns='jabber:client' to='o@e'><body>y</body></message>",
        "<p>x</p>y",
    );
    reduces("<x:p xmlns:x='urn:x'>a<p>b</p></x:p>", "a<p>b</p>");
    reduces("<p xmlns=''>a</p>", "a");
}

#[test]
fn a_prefix_or_upper_case_for_xhtml_is_understood() {
    reduces(
        "<h:p xmlns:h='http://www.w3.org/1999/xhtml'>x</h:p>",
        "<p>x</p>",
    );
    reduces(
        "<P>x <A HREF='https://e/' href='https://f/'>y</A></P>",
        "<p>x <a href='https://e/'>y</a></p>",
    );
}

#[test]
fn a_body_around_everything_is_the_wrapper() {
    reduces("<body><p>x</p></body>", "<p>x</p>");
    reduces(
        " <!-- c -->\n<body xmlns='http://www.w3.org/1999/xhtml' style='color:red' xml:lang='en'> x</body>\n",
        " x",
    );
    let whole = "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>x</body></html>";
    reduces(whole, "x");
}

#[test]
fn comments_instructions_and_the_xml_declaration_are_dropped_and_cdata_is_text() {
    reduces(
        "<?xml version='1.0'?><p>x<!-- secret -->y<?php echo 1 ?></p>",
        "<p>xy</p>",
    );
    reduces(
        "<p>a<![CDATA[<script>x</script>&amp;]]>b</p>",
        "<p>a&lt;script&gt;x&lt;/script&gt;&amp;amp;b</p>",
    );
}

#[test]
fn line_ends_arrive_as_lf() {
    reduces(
        "a\r\nb\rc&#13;d&#13;&#10;e<![CDATA[\r\n]]>",
        "a\nb\nc\nd\ne\n",
    );
    reduces(
        "<img src='https://e/' alt='a&#13;&#10;b&#9;c\nd'/>",
        "<img src='https://e/' alt='a b c d'/>",
    );
}

#[test]
fn attributes_outside_the_profile_are_dropped() {
    reduces(
        "<p onclick='x()' class='c' id='i' title='t' data-x='y' xml:lang='en'>x</p>",
        "<p>x</p>",
    );
    reduces("<p xmlns:x='urn:x' x:style='color: red'>x</p>", "<p>x</p>");
    reduces(
        "<a href='https://e/' rel='r' target='t' type='text/html'>x</a>",
        "<a href='https://e/' type='text/html'>x</a>",
    );
    reduces(
        "<a href='https://e/' type='text/html; x'>x</a><br style='color: red'/>",
        "<a href='https://e/'>x</a><br/>",
    );
}

#[test]
fn links_of_other_schemes_lose_the_address_and_keep_the_text() {
    for good in [
        "https://example.org/?a=b&amp;c",
        "HTTP://e",
        "mailto:a@e",
        "xmpp:u@e?message",
        "https://bücher.example/",
    ] {
        let same = format!("<a href='{good}'>x</a>");
        reduces(&same, &same);
    }
    for bad in [
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        " javascript:x",
        "java&#9;script:x",
        "&#106;avascript:x",
        "vbscript:x",
        "data:text/html,x",
        "file:///etc/passwd",
        "/x",
        "x",
        "//e/",
        "",
        " https://e/",
        "https://e/ x",
        "https:e",
        "https://",
        "https:///x",
        "mailto:",
        "https://e/&#x202E;gpj",
        "https://e\\@f",
        "h:x",
        "cid:x",
    ] {
        reduces(&format!("<a href='{bad}'>x</a>"), "<a>x</a>");
    }
}

#[test]
fn a_picture_without_an_acceptable_address_is_replaced_by_its_alternative_text() {
    reduces(
        "<img width='2%' src='https://e/x.png' alt='a' height='1' onerror='x' longdesc='https://e'/>",
        "<img src='https://e/x.png' alt='a' height='1' width='2%'/>",
    );
    reduces(
        "<img src='https://e/' height='1px' width='-1'/>",
        "<img src='https://e/' alt=''/>",
    );
    reduces(
        "<p>x <img src='javascript:x' alt='a &lt; b'/> y</p>",
        "<p>x a &lt; b y</p>",
    );
    reduces("<img/><img src='mailto:a@e'/>", "");
}

#[test]
fn the_content_of_an_empty_element_moves_behind_it() {
    reduces(
        "<br>a</br><img src='https://e/' alt='i'>b</img>c",
        "<br/>a<img src='https://e/' alt='i'/>bc",
    );
}

#[test]
fn styles_keep_the_properties_of_the_profile() {
    let style = |style: &str, expected: &str| {
        let expected = if expected.is_empty() {
            "<p>x</p>".to_owned()
        } else {
            format!("<p style='{}'>x</p>", escape(expected))
        };
        reduces(&format!("<p style='{}'>x</p>", escape(style)), &expected);
    };
    style("color:red", "color: red");
    style(
        "COLOR : #Ff0000 ;; margin-left:5%;",
        "color: #Ff0000; margin-left: 5%",
    );
    style(
        "color: rgb(1, 2%, 3);background-color:HSLA(1,2%,3%,.5)",
        "color: rgb(1, 2%, 3); background-color: HSLA(1,2%,3%,.5)",
    );
    style(
        "font-family:'Brush  Script MT', \"x\",serif",
        "font-family: 'Brush Script MT', \"x\",serif",
    );
    style("background:url(javascript:x);color:red", "color: red");
    style(
        "position:fixed;top:0;font-size:10pt;text-decoration:underline",
        "font-size: 10pt; text-decoration: underline",
    );
    for bad in [
        "color:expression(alert(1))",
        "color: url(https://e/)",
        "color: rgb(1",
        "color: rgb(calc(1))",
        "color:\\72 ed",
        "color: /* x */ red",
        "color: <red>",
        "color:",
        "color",
        "font-family: 'a",
        "font-family: 'a\"b'",
        "color: @import x",
        "margin-left: -99px",
        "font-family: javascript",
        "color: red !important",
        "col or: red",
        "color: a:b",
    ] {
        style(bad, "");
    }
}

#[test]
fn no_markup_closes_the_wrapper() {
    refused(
        "x</body></html><presence/><body>",
        1,
        2,
        "</body> closes an element that was not opened",
    );
    refused("x</body><body>y", 1, 2, "was not opened");
    refused("x</body>", 1, 2, "was not opened");
    refused("<p>x</p></body><!--", 1, 9, "was not opened");
    refused("</body\n><body>", 1, 1, "was not opened");
    refused("<p></body><body></p>", 1, 4, "</p> must come first");
}

#[test]
fn malformed_xhtml_is_refused_with_its_place_and_a_correction() {
    refused("<p>x", 1, 5, "</p>");
    refused("a<br>b", 1, 7, "<br/>");
    refused("<p><em>x</p></em>", 1, 9, "</em>");
    refused("<p>a & b</p>", 1, 6, "&amp;");
    refused("&", 1, 1, "&amp;");
    refused("<p>ü\r\n🦀 < b</p>", 2, 4, "&lt;");
    refused("<p>\ra\r\n&nbsp;</p>", 3, 1, "&#160;");
    refused("<a href=x>y</a>", 1, 9, "quotes");
    refused("<a href>y</a>", 1, 8, "quotes");
    refused("<a href='x' href='y'>z</a>", 1, 13, "twice");
    refused("<a href='a<b'>z</a>", 1, 11, "&lt;");
    refused("<x:p>y</x:p>", 1, 2, "prefix x");
    refused(
        "<!DOCTYPE x [<!ENTITY a 'b'>]><p>&a;</p>",
        1,
        1,
        "document types",
    );
    refused("a ]]> b", 1, 8, "]]&gt;");
    refused("<!-- a -- b -->", 1, 1, "comment");
    refused("ab<!-- c", 1, 9, "comment");
    refused("<p", 1, 3, "end each tag");
    refused(" <?xml version='1.0'?>", 1, 2, "declaration");
    refused("<?xml version='1.0'?>\n<p>&x;</p>", 2, 4, "&x;");
    refused(&format!("<{}>", "x".repeat(1000)), 1, 1003, "x…");
}

#[test]
fn characters_that_xml_does_not_allow_are_refused() {
    for bad in [
        "&#27;",
        "&#0;",
        "&#xFFFE;",
        "&#xD800;",
        "&#x110000;",
        "&#99999999999;",
        "&#x0001B;",
    ] {
        refused(&format!("<p>\nü{bad}</p>"), 2, 2, bad);
        refused(&format!("<p class='{bad}'/>"), 1, 11, bad);
    }
    for bad in ["\0", "\u{1B}", "\u{1F}", "\u{FFFE}", "\u{FFFF}"] {
        refused(&format!("<p>\nü{bad}</p>"), 2, 2, "U+");
        refused(&format!("<!-- {bad} -->"), 1, 6, "U+");
    }
    reduces("&#65;&#x42;&#x1F980;\u{7F}\u{85}", "AB🦀\u{7F}\u{85}");
    reduces("<![CDATA[&#0;]]><!-- &#0; -->", "&amp;#0;");
}

#[test]
fn a_hundred_levels_are_read_and_one_more_is_refused() {
    let nested = |depth: usize| "<span>".repeat(depth) + "x" + &"</span>".repeat(depth);
    reduces(&nested(MAX_DEPTH), &nested(MAX_DEPTH));
    reads(&nested(MAX_DEPTH), "x");
    refused(&nested(MAX_DEPTH + 1), 1, 601, "nested too deep");
    refused(&nested(90_000), 1, 601, "nested too deep");
    refused(&"<p>".repeat(100_000), 1, 301, "nested too deep");
}

#[test]
fn too_many_attributes_or_namespaces_are_refused() {
    let element = |name: &str, count: usize| {
        let attributes: String = (0..count).map(|n| format!(" {name}{n}='{n}'")).collect();
        format!("<p{attributes}>x</p>")
    };
    reads(&element("a", MAX_ATTRIBUTES), "x");
    refused(
        &element("a", MAX_ATTRIBUTES + 1),
        1,
        1,
        "too many attributes",
    );
    reads(&element("xmlns:a", MAX_NAMESPACES), "x");
    refused(
        &element("xmlns:a", MAX_NAMESPACES + 1),
        1,
        1,
        "too many namespaces",
    );
}

#[test]
fn markup_that_costs_too_much_is_refused_at_once() {
    let siblings = |count: usize| "<p xmlns:a='b'/>".repeat(count);
    let attributes: String = (0..100_000)
        .map(|number| format!(" a{number}=''"))
        .collect();
    let namespaces: String = (0..90)
        .map(|number| format!(" xmlns:a{number}='{number}'"))
        .collect();
    for (source, status) in [
        ("<p/>".repeat(2_500_000), 422),
        ("<!---->".repeat(100_000), 413),
        ("=".repeat(10_000_000), 413),
        ("<![CDATA[x]]>".repeat(150_000), 413),
        (format!("<p{attributes}/>"), 422),
        (format!("<p{namespaces}>{}</p>", siblings(50_000)), 422),
        ("&#".repeat(5_000_000), 422),
    ] {
        let problem = reduce(&source).unwrap_err();
        assert_eq!(
            (problem.status(), problem.field.as_deref()),
            (status, Some("html")),
            "{problem}"
        );
    }
    assert!(reduce(&siblings(MAX_ELEMENTS)).is_ok());
    refused(
        &siblings(MAX_ELEMENTS + 1),
        1,
        1 + 16 * MAX_ELEMENTS,
        "too many elements",
    );
    assert!(reduce(&"=".repeat(MAX_MARKUP)).is_ok());
    assert!(reduce(&"<![CDATA[x]]>".repeat(1000)).is_ok());
}

#[test]
fn a_fragment_that_shows_nothing_is_empty() {
    for empty in [
        "",
        " \n",
        "<p> <br/></p>",
        "<!-- x -->",
        "<script>x</script>",
        "<body/>",
        "<img src='x'/>",
    ] {
        assert!(reduce(empty).unwrap().is_empty(), "{empty:?}");
    }
    for full in ["x", "<p><em>x</em></p>", "<img src='https://e/'/>"] {
        assert!(!reduce(full).unwrap().is_empty(), "{full:?}");
    }
}

#[test]
fn as_text_blocks_and_line_breaks_make_lines() {
    reads(
        " <p>a\n  <em>b</em> c </p> <p>d<br/>e</p>f<div> <div>g</div></div>",
        "a b c\nd\ne\nf\ng",
    );
    reads("<p>a</p><br/><br/><br/><br/><p>b</p>", "a\n\nb");
    reads("<p>x</p><pre>a\n  b\n</pre>c  d", "x\na\n  b\nc d");
    reads("", "");
}

#[test]
fn as_text_list_items_are_marked() {
    reads(
        "a<ul> <li>x</li> <li><p>y</p></li> <li/><li>z</li></ul>b",
        "a\n- x\n- y\n-\n- z\nb",
    );
    reads(
        "<ol><li>x<ul><li>y</li></ul></li><li>z</li></ol>",
        "1. x\n- y\n2. z",
    );
}

#[test]
fn as_text_links_and_pictures_show_their_addresses() {
    reads(
        "see <a href='https://e/'>the <em>page</em></a>.",
        "see the page <https://e/>.",
    );
    reads(
        "<a href='https://e/'> https://e/ </a> <a href='mailto:a@e'>a@e</a>",
        "https://e/ a@e",
    );
    reads("<a href='x:y'>x</a>", "x");
    reads(
        "<img src='https://e/' alt='a picture'/>, <img src='https://e/'/>",
        "a picture, https://e/",
    );
    reads("<a href='https://e/'><img src='x'/></a>", "<https://e/>");
}

/// Checks that a reduced fragment is well-formed, within the profile, and stays the same when it is reduced again.
#[track_caller]
fn holds(source: &str) {
    match reduce(source) {
        Ok(fragment) => {
            let xml = serialise(fragment.nodes());
            roxmltree::Document::parse(&format!("{BEFORE}{xml}{AFTER}")).unwrap();
            assert_eq!(
                reduce(&xml),
                Ok(fragment.clone()),
                "{source:?} gave {xml:?}"
            );
            let text = fragment.to_text();
            assert!(
                !text.contains("\n\n\n") && text.trim() == text,
                "{source:?} gave {text:?}"
            );
        }
        Err(problem) => {
            let Some(Place::Line { line, column }) = problem.place else {
                panic!("{problem:?}")
            };
            let lines = unify_line_ends(source);
            let length = lines
                .split('\n')
                .nth(line - 1)
                .map(|line| line.chars().count());
            assert!(
                length.is_some_and(|length| column <= length + 1),
                "{source:?}: {problem:?}"
            );
            assert!(!problem.detail.contains(['\n', '\r']), "{problem:?}");
        }
    }
}

#[rustfmt::skip]
const PIECES: [&str; 60] = [
    "<p>", "</p>", "<p/>", "<em>", "</em>", "<a href='", "<a href='https://e/'>", "</a>",
    "<li>", "</li>", "<ol>", "</ol>", "<pre>", "</pre>", "<br/>", "<br>", "</br>",
    "<img src='https://e/' alt='", "<img src='x' alt='y'/>", "'>", "'/>", "'", "\"", "<body>",
    "</body>", "<script>", "</script>", "<x:y xmlns:x='z'>", "</x:y>", " xmlns=''",
    " style='color:red;x'", "<svg xmlns='s'>", "</svg>", "<!--", "-->", "--", "<![CDATA[",
    "]]>", "<?", "?>", "<?xml ", "<!", "&", "&#", "&#x", ";", "&amp;", "&#13;", "&#10;",
    "&lt;", "\r", "\n", " ", "=", "<", ">", "/", "é🦀", "x", "\u{FEFF}",
];

proptest! {
    #[test]
    fn any_text_is_reduced_or_refused(source in any::<String>()) {
        holds(&source);
    }

    #[test]
    fn any_sequence_of_markup_is_reduced_or_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
        holds(&pieces.concat());
    }

    #[test]
    fn any_tree_is_reduced(tree in tree()) {
        prop_assert!(reduce(&tree).is_ok(), "{tree:?}");
        holds(&tree);
    }

    #[test]
    fn a_damaged_tree_is_reduced_or_refused(
        tree in tree(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&PIECES[..]), 0..4_usize), 1..4),
    ) {
        let mut chars: Vec<char> = tree.chars().collect();
        for (index, piece, removed) in changes {
            let start = index.index(chars.len() + 1);
            let end = (start + removed).min(chars.len());
            chars.splice(start..end, piece.chars());
        }
        holds(&String::from_iter(chars));
    }
}

/// Well-formed markup, within the profile and outside.
fn tree() -> impl Strategy<Value = String> {
    let text = prop::sample::select(
        &[
            "x",
            " ",
            "\r\n",
            "&#13;",
            "&lt;&amp;",
            "<![CDATA[<]]>",
            "<!-- c -->",
            "<?p i?>",
            "é🦀",
        ][..],
    );
    let name = prop::sample::select(
        &[
            "p", "P", "em", "a", "br", "img", "ul", "ol", "li", "pre", "div", "body", "script",
            "blink", "svg", "h1", "dl",
        ][..],
    );
    let attribute = prop::sample::select(
        &[
            "",
            " href='https://e/'",
            " href='x:y'",
            " src='http://e'",
            " alt='&#10;a'",
            " style='color:red;font-family:\"x\"'",
            " xmlns='urn:x'",
            " class='c'",
            " src='https://e/' width='1' alt=''",
        ][..],
    );
    text.prop_map(str::to_owned)
        .prop_recursive(6, 48, 6, move |inner| {
            (
                name.clone(),
                attribute.clone(),
                prop::collection::vec(inner, 0..6),
            )
                .prop_map(|(name, attribute, children)| {
                    format!("<{name}{attribute}>{}</{name}>", children.concat())
                })
        })
}
